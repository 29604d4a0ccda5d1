"""The Step Functions JSON protocol: `X-Amz-Target: AWSStepFunctions.ACTION`, a JSON object in, a JSON object out."""
