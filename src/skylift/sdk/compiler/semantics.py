"""Python's answers in JSONata: small functions that are written in front of an expression when it needs them.

Each `PY…` is a JSONata function. `PY…_P` gives null or the error Python would raise for the same operands; the graph
asks it before it evaluates the operation itself.
"""

# ruff: noqa: E501 - one helper is one text
from __future__ import annotations

import re

_NAME = re.compile(r"\$(PY[A-Z]+(?:_P)?)\b")


def with_helpers(code: str) -> str:
    """The code with the definitions of all helpers it uses, in the order of their use."""
    if "$PY" not in code:
        return code
    names: list[str] = []
    _collect(code, names, set())
    if not names:
        return code
    definitions = "; ".join(f"${name} := {HELPERS[name]}" for name in names)
    return f"({definitions}; {code})"


def _collect(code: str, names: list[str], seen: set[str]) -> None:
    for name in dict.fromkeys(_NAME.findall(code)):
        if name in HELPERS and name not in seen:
            seen.add(name)
            _collect(HELPERS[name], names, seen)
            names.append(name)


def error(name: str, message: str) -> str:
    """An error value; `message` is JSONata."""
    return f'{{"Error": "{name}", "Cause": {message}}}'


HELPERS = {
    "PYTYPE": (
        'function($v){($t := $type($v); $t = "null" ? "NoneType" : $t = "boolean" ? "bool" : $t = "string" ? "str" : '
        '$t = "array" ? "list" : $t = "object" ? ($lookup($v, "__type__") = "tuple" ? "tuple" : $exists($lookup($v, '
        '"__type__")) ? "object" : $exists($lookup($v, "skylift:artifact")) ? "artifact" : "dict") : '
        '$floor($v) = $v ? "int" : "float")}'
    ),
    "PYBOOL": (
        'function($v){($t := $PYTYPE($v); $t = "NoneType" ? false : $t = "bool" ? $v : $t = "str" ? $v != "" : '
        '$t = "list" ? $count($v) > 0 : $t = "tuple" ? $count($v.items) > 0 : $t = "dict" ? $count($keys($v)) > 0 : '
        '$t in ["object", "artifact"] ? true : $v != 0)}'
    ),
    "PYBOOL_P": (
        'function($v){$PYTYPE($v) = "artifact" ? {"Error": "TypeError", "Cause": "the graph cannot look inside a value '
        'that is kept as an artifact"} : null}'
    ),
    "PYISNUM": 'function($v){$type($v) in ["number", "boolean"]}',
    "PYISINT": "function($s){$exists($match($s, /^[ \\t\\n\\r\\f\\v]*[+-]?[0-9]+(_[0-9]+)*[ \\t\\n\\r\\f\\v]*$/))}",
    "PYREADINT": (
        'function($s){($d := $replace($s, /[^0-9-]/, ""); $length($d) > 15 ? $error("a graph reads whole numbers of up to '
        '15 digits: read this one in a @task") : $number($d))}'
    ),
    "PYNUM": 'function($v){$type($v) = "boolean" ? ($v ? 1 : 0) : $v}',
    "PYFIRST": ("function($ps){($b := [$filter($ps, function($p){$p != null})[]]; $count($b) = 0 ? null : $b[0])}"),
    "PYINT": (
        'function($n){$abs($n) > 4503599627370496 ? $error("whole numbers beyond 2**52 are not exact in a graph: compute '
        'this in a @task, or annotate its numbers as float") : $n}'
    ),
    "PYDIGITS": (
        'function($n){$abs($n) >= 1000000000000000 ? $error("a graph prints whole numbers of up to 15 digits: make this '
        'text in a @task") : $string($n)}'
    ),
    "PYMOD": "function($a, $b){($m := $a % $b; $m != 0 and ($b < 0) != ($m < 0) ? $m + $b : $m)}",
    "PYFLOORDIV": (
        "function($a, $b){($floor($a) = $a and $floor($b) = $b) ? $floor($a / $b) : "
        "($d := ($a - $PYMOD($a, $b)) / $b; $f := $floor($d); $d - $f > 0.5 ? $f + 1 : $f)}"
    ),
    "PYREPEAT": 'function($s, $n){$n <= 0 ? "" : $join($map([1..$n], function($_){$s}))}',
    "PYREPEATLIST": "function($l, $n){$n <= 0 ? [] : $reduce([1..$n], function($a, $_){$append($a, $l)}, [])}",
    "PYITEMS": (
        'function($v){($t := $PYTYPE($v); $t = "list" ? $v : $t = "tuple" ? $v.items : $t = "dict" ? [$keys($v)] : '
        '$v = "" ? [] : $PYCHARS($v))}'
    ),
    # JavaScript splits a character beyond U+FFFF in two.
    "PYCHARS": (
        'function($s){($c := $split($s, ""); $n := $length($s); $count($c) = $n ? $c : '
        "[$map([0..$n - 1], function($i){$substring($s, $i, 1)})[]])}"
    ),
    "PYITEMS_P": (
        'function($v){$PYTYPE($v) in ["list", "tuple", "dict", "str"] ? null : {"Error": "TypeError", "Cause": "\'" & '
        '$PYTYPE($v) & "\' object is not iterable"}}'
    ),
    "PYLEN": (
        'function($v){($t := $PYTYPE($v); $t = "list" ? $count($v) : $t = "tuple" ? $count($v.items) : '
        '$t = "dict" ? $count($keys($v)) : $length($v))}'
    ),
    "PYLEN_P": (
        'function($v){$PYTYPE($v) in ["list", "tuple", "dict", "str"] ? null : {"Error": "TypeError", "Cause": '
        '"object of type \'" & $PYTYPE($v) & "\' has no len()"}}'
    ),
    "PYADD": (
        'function($a, $b){($t := $PYTYPE($a); $t = "str" ? $a & $b : $t = "list" ? $append($a, $b) : $t = "tuple" ? '
        '{"__type__": "tuple", "items": $append($a.items, $b.items)} : $PYINT($PYINT($PYNUM($a)) + $PYINT($PYNUM($b))))}'
    ),
    "PYADD_P": (
        "function($a, $b){($t := $PYTYPE($a); $u := $PYTYPE($b); $PYISNUM($a) and $PYISNUM($b) or ($t = $u and $t in "
        '["str", "list", "tuple"]) ? null : $t in ["str", "list", "tuple"] ? {"Error": "TypeError", "Cause": '
        '"can only concatenate " & $t & " (not \\"" & $u & "\\") to " & $t} : {"Error": "TypeError", "Cause": '
        '"unsupported operand type(s) for +: \'" & $t & "\' and \'" & $u & "\'"})}'
    ),
    "PYMUL": (
        'function($a, $b){$type($a) = "string" ? $PYREPEAT($a, $PYNUM($b)) : $type($b) = "string" ? $PYREPEAT($b, '
        '$PYNUM($a)) : $type($a) = "array" ? $PYREPEATLIST($a, $PYNUM($b)) : $type($b) = "array" ? $PYREPEATLIST($b, '
        "$PYNUM($a)) : $PYINT($PYNUM($a) * $PYNUM($b))}"
    ),
    "PYMUL_P": (
        'function($a, $b){($t := $PYTYPE($a); $u := $PYTYPE($b); $PYISNUM($a) and $PYISNUM($b) ? null : $t in ["str", '
        '"list"] and $u in ["int", "bool"] or $u in ["str", "list"] and $t in ["int", "bool"] ? null : $t in ["str", '
        '"list"] ? {"Error": "TypeError", "Cause": "can\'t multiply sequence by non-int of type \'" & $u & "\'"} : '
        '{"Error": "TypeError", "Cause": "unsupported operand type(s) for *: \'" & $t & "\' and \'" & $u & "\'"})}'
    ),
    "PYARITH_P": (
        'function($a, $b, $op){$PYISNUM($a) and $PYISNUM($b) ? null : {"Error": "TypeError", "Cause": '
        '"unsupported operand type(s) for " & $op & ": \'" & $PYTYPE($a) & "\' and \'" & $PYTYPE($b) & "\'"}}'
    ),
    "PYUNARY_P": (
        'function($a, $op){$PYISNUM($a) ? null : {"Error": "TypeError", "Cause": "bad operand type for " & $op & ": \'" & '
        '$PYTYPE($a) & "\'"}}'
    ),
    "PYZERO_P": 'function($b, $m){$b = 0 ? {"Error": "ZeroDivisionError", "Cause": $m} : null}',
    "PYORDER_P": (
        'function($a, $b, $op){($PYISNUM($a) and $PYISNUM($b)) or ($type($a) = "string" and $type($b) = "string") ? null '
        ': $PYTYPE($a) = $PYTYPE($b) and $PYTYPE($a) in ["list", "tuple"] ? {"Error": "NotImplementedError", "Cause": '
        '"the graph cannot order lists or tuples: put it in a @task"} : {"Error": "TypeError", "Cause": "\'" & $op & '
        '"\' not supported between instances of \'" & $PYTYPE($a) & "\' and \'" & $PYTYPE($b) & "\'"}}'
    ),
    "PYCANON": (
        'function($v){($t := $type($v); $t = "boolean" ? ($v ? 1 : 0) : $t = "array" ? [$map($v, $PYCANON)[]] : '
        '$t = "object" ? $merge([{}, $each($v, function($x, $k){{$k: $PYCANON($x)}})]) : $v)}'
    ),
    "PYEQ": "function($a, $b){$PYCANON($a) = $PYCANON($b)}",
    "PYIN": "function($x, $l){($c := $PYCANON($x); $count($filter($l, function($y){$PYCANON($y) = $c})) > 0)}",
    "PYCONTAINS": (
        'function($l, $x){($t := $PYTYPE($l); $t = "str" ? $contains($l, $x) : $t = "dict" ? ($type($x) = "string" and '
        "$exists($lookup($l, $x))) : $PYIN($x, $PYITEMS($l)))}"
    ),
    "PYHAS": "function($d, $k){$exists($lookup($d, $k))}",
    "PYPAIR": "function($a, $b){[$map([0, 1], function($i){$i = 0 ? $a : $b})[]]}",
    "PYRANGE": (
        "function($a, $b, $s){($n := $s > 0 ? $ceil(($b - $a) / $s) : $ceil(($a - $b) / -$s); $n <= 0 ? [] : "
        "[$map([0..$n - 1], function($i){$a + $i * $s})[]])}"
    ),
    "PYSLICE": (
        "function($l, $a, $b, $s){($n := $count($l); $k := $s = null ? 1 : $s; "
        "$low := $k > 0 ? 0 : -1; $high := $k > 0 ? $n : $n - 1; "
        "$from := $a = null ? ($k > 0 ? $low : $high) : $a < 0 ? $max([$a + $n, $low]) : $min([$a, $high]); "
        "$to := $b = null ? ($k > 0 ? $high : $low) : $b < 0 ? $max([$b + $n, $low]) : $min([$b, $high]); "
        "$k = 1 ? [$filter($l, function($v, $i){$i >= $from and $i < $to})[]] : "
        "[$map($PYRANGE($from, $to, $k), function($i){$l[$i]})[]])}"
    ),
    "PYPUT": (
        "function($l, $i, $one){($n := $count($l); $at := $i < 0 ? $i + $n : $i; "
        "[$map($l, function($v, $j){$j = $at ? $one[0] : $v})[]])}"
    ),
    "PYDROP": (
        "function($l, $i){($n := $count($l); $at := $i < 0 ? $i + $n : $i; "
        "[$filter($l, function($v, $j){$j != $at})[]])}"
    ),
    "PYINSERT": (
        "function($l, $i, $one){($n := $count($l); $at := $i < 0 ? $max([$i + $n, 0]) : $min([$i, $n]); "
        "$append($append([$filter($l, function($v, $j){$j < $at})[]], $one), "
        "[$filter($l, function($v, $j){$j >= $at})[]]))}"
    ),
    "PYINDEX": (
        "function($l, $x){($c := $PYCANON($x); $f := [$filter([0..$count($l) - 1], function($i){$PYCANON($l[$i]) = $c})[]]; "
        "$count($f) = 0 ? -1 : $f[0])}"
    ),
    "PYWITHOUT": ("function($d, $k){($m := $sift($d, function($v, $n){$n != $k}); $exists($m) ? $m : {})}"),
    "PYGET": (
        'function($c, $k){($t := $PYTYPE($c); $t = "dict" ? $lookup($c, $k) : $t = "str" ? $substring($c, $PYNUM($k), 1) : '
        '($l := $t = "tuple" ? $c.items : $c; $i := $PYNUM($k); $l[$i]))}'
    ),
    "PYGET_P": (
        'function($c, $k){($t := $PYTYPE($c); $t = "dict" ? ($type($k) = "string" and $exists($lookup($c, $k)) ? null : '
        '{"Error": "KeyError", "Cause": $type($k) = "string" ? $PYREPR($k) : $string($k)}) : '
        '$t in ["list", "tuple", "str"] ? ($PYTYPE($k) in ["int", "bool"] ? ($i := $PYNUM($k); $n := $PYLEN($c); '
        '$i >= $n or $i < -$n ? {"Error": "IndexError", "Cause": ($t = "str" ? "string" : $t) & " index out of range"} : '
        'null) : {"Error": "TypeError", "Cause": ($t = "str" ? "string" : $t) & " indices must be integers"}) : '
        '{"Error": "TypeError", "Cause": "\'" & $t & "\' object is not subscriptable"})}'
    ),
    "PYSPLIT": 'function($s, $p){$s = "" ? [""] : [$split($s, $p)[]]}',
    "PYENDS": ("function($s, $p){($n := $length($s) - $length($p); $n >= 0 ? $substring($s, $n) = $p : false)}"),
    "PYFIND": 'function($s, $p){$p = "" ? 0 : $contains($s, $p) ? $length($substringBefore($s, $p)) : -1}',
    "PYSTR": (
        'function($v){($t := $type($v); $t = "string" ? $v : $t = "null" ? "None" : $t = "boolean" ? ($v ? "True" : '
        '"False") : $string($v))}'
    ),
    "PYTEXT": 'function($v){$type($v) = "number" ? $PYDIGITS($v) : $PYSTR($v)}',
    "PYREPR": (
        'function($s){($e := $replace($s, "\\\\", "\\\\\\\\"); $e := $replace($replace($replace($e, "\\n", '
        '"\\\\n"), "\\r", "\\\\r"), "\\t", "\\\\t"); $contains($e, "\'") ? ($contains($e, "\\"") ? "\'" & '
        '$replace($e, "\'", "\\\\\'") & "\'" : "\\"" & $e & "\\"") : "\'" & $e & "\'")}'
    ),
    "PYCHILD": (
        'function($e){($c := $exists($e.Cause) and $substring($e.Cause, 0, 1) = "{" and $substring($e.Cause, -1) = "}" ? '
        '$parse($e.Cause) : {}; $exists($c.Error) and $c.Error != null ? {"Error": $c.Error, "Cause": $exists($c.Cause) '
        'and $c.Cause != null ? $c.Cause : ""} : $e)}'
    ),
    "PYMESSAGE": (
        'function($e){($c := $exists($e.Cause) and $e.Cause != null ? $e.Cause : ""; $substring($c, 0, 1) = "{" and '
        '$substring($c, -1) = "}" and $contains($c, "\\"errorMessage\\"") ? $parse($c).errorMessage : $c)}'
    ),
}
