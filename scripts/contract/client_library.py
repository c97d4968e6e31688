"""Lists credentials with the client library of the original system, as it is published.

Prints nothing and ends with 0 when the library sees what was stored, and no value of it.
"""

import json
import sys

from nodeloom.api import ApiClient

SECRET = "not-to-be-listed-4711"


def check(url, token, team):
    client = ApiClient(api_key=token, endpoint=url)
    listed = client.list_credentials(team)
    if not isinstance(listed, list):
        sys.exit(f"the client library got {type(listed).__name__}, not a list")
    names = [one["name"] for one in listed]
    if names != ["For the library"]:
        sys.exit(f"the client library sees {names}")
    one = listed[0]
    if one["type"] != "BEARER_TOKEN" or one["teamId"] != team or not one["id"]:
        sys.exit(f"the client library sees {sorted(one)}")
    if SECRET in json.dumps(listed):
        sys.exit("a listing holds a secret")
