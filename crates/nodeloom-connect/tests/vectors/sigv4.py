"""Signatures of AWS requests, made by botocore: an implementation other than ours.

Run: pip install botocore==1.44.5 && python3 tests/vectors/sigv4.py > tests/vectors/sigv4.json
The first is the example of AWS's user guide. Keys are those of AWS's documentation.
"""

import datetime
import json
from unittest import mock

import botocore.auth
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2015, 8, 30, 12, 36, 0, tzinfo=datetime.timezone.utc)
SESSION = "SESSION//EXAMPLE=="
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
TARGET = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
CASES = [
    ("GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", FORM, "", "us-east-1", "iam", None),
    ("POST", "https://sqs.eu-west-1.amazonaws.com/1/queue", TARGET, '{"MessageBody":"hi"}', "eu-west-1", "sqs", None),
    ("GET", "https://sts.eu-central-1.amazonaws.com/?Version=2011-06-15&Action=GetCallerIdentity", {}, "", "eu-central-1", "sts", SESSION),
    ("GET", "https://x.us-east-1.amazonaws.com/a//b/%C3%A9%20x/?b=2&a=%20%2F%2B~&a=%21&empty=", {}, "", "us-east-1", "x", None),
    ("PUT", "https://bucket.s3.eu-west-1.amazonaws.com/dir//a%20b%2Bc/%C3%A9~", {}, "body", "eu-west-1", "s3", None),
    ("POST", "https://x.us-east-1.amazonaws.com:8443/a;b/c@d/(e)", {"X-Amz-Note": "  two   words "}, "é", "us-east-1", "x", SESSION),
]


def main():
    vectors = []
    for method, url, headers, body, region, service, session in CASES:
        request = AWSRequest(method=method, url=url, data=body.encode(), headers=dict(headers))
        keys = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session)
        signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(keys, service, region)
        with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: NOW):
            signer.add_auth(request)
        assert request.headers["X-Amz-Date"] == "20150830T123600Z"
        vectors.append(
            {
                "method": method,
                "url": url,
                "headers": headers,
                "body": body,
                "region": region,
                "service": service,
                "session": session,
                "authorization": request.headers["Authorization"],
            }
        )
    print(json.dumps(vectors, indent=2))


main()
