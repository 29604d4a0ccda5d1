"""Documents that nobody compiled: JSONPath, error handlers, loops within maps."""

from __future__ import annotations

TASK = "arn:aws:states:::skylift:"

JSONPATH = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": {
                "StartAt": "Size",
                "States": {
                    "Size": {
                        "Type": "Choice",
                        "Choices": [{"Variable": "$.big", "BooleanEquals": True, "Next": "Large"}],
                        "Default": "Small",
                    },
                    "Large": {"Type": "Task", "Resource": TASK + "large", "End": True},
                    "Small": {"Type": "Task", "Resource": TASK + "small", "End": True},
                },
            },
            "ResultPath": "$.done",
            "Next": "Rest",
        },
        "Rest": {"Type": "Wait", "Seconds": 30, "End": True},
    },
}

CATCH_ALL = {
    "QueryLanguage": "JSONata",
    "StartAt": "Work",
    "States": {
        "Work": {
            "Type": "Task",
            "Resource": TASK + "work",
            "Assign": {"score": "{% $states.result %}"},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Mend"}],
            "Next": "Check",
        },
        "Check": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $score < 0 %}", "Next": "Bad"}],
            "Default": "Good",
        },
        "Mend": {"Type": "Task", "Resource": TASK + "mend", "End": True},
        "Bad": {"Type": "Fail", "Error": "ValueError"},
        "Good": {"Type": "Succeed"},
    },
}

NESTED = {
    "QueryLanguage": "JSONata",
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "Items": "{% $states.input.items %}",
            "ItemProcessor": {
                "StartAt": "Try",
                "States": {
                    "Try": {
                        "Type": "Task",
                        "Resource": TASK + "try",
                        "Assign": {"done": "{% $states.result %}"},
                        "Next": "Again",
                    },
                    "Again": {
                        "Type": "Choice",
                        "Choices": [{"Condition": "{% $done = false %}", "Next": "Try"}],
                        "Default": "End",
                    },
                    "End": {"Type": "Succeed"},
                },
            },
            "End": True,
        }
    },
}
