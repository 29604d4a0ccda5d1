"""The calculator: amounts of services times prices, line by line, each line with its formula and its price's source."""
