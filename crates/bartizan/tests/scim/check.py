"""Runs scim2-tester against a SCIM service: check.py URL TOKEN. Fails unless every check succeeds."""

import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

url, token = sys.argv[1:]
client = Client(base_url=url, headers={"Authorization": f"Bearer {token}"})
results = check_server(SyncSCIMClient(client))
counted = {}
for result in results:
    counted[result.status.name] = counted.get(result.status.name, 0) + 1
    if result.status not in (Status.SUCCESS, Status.SKIPPED, Status.ACCEPTABLE):
        print(result.status.name, result.resource_type, result.title, result.reason)
print(counted)
# The only thing to leave out is searching by POST, which the service says it does not do.
failed = set(counted) - {"SUCCESS", "SKIPPED", "ACCEPTABLE"}
sys.exit(1 if failed or counted.get("SUCCESS", 0) < 40 or 2 < counted.get("SKIPPED", 0) else 0)
