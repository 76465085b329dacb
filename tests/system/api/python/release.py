"""Lists the held requests and releases one, with the client that openapi-python-client generated."""

import json
import sys

from vestibule_client import AuthenticatedClient
from vestibule_client.api.requests import (
    list_requests,
    read_request,
    release_request,
    show_request,
)
from vestibule_client.models import ListRequestsState, Problem, Request, RequestList

base, token = sys.argv[1:]
with AuthenticatedClient(base_url=base, token=token) as client:
    held = list_requests.sync(client=client, state=ListRequestsState.HELD)
    assert isinstance(held, RequestList), held
    first = held.items[0]
    released = release_request.sync(first.id, client=client, idempotency_key="one")
    assert isinstance(released, Request), released
    again = release_request.sync(first.id, client=client)
    assert isinstance(again, Problem), again
    unknown = show_request.sync("00000000000000000000000000", client=client)
    assert isinstance(unknown, Problem), unknown
    raw = read_request.sync(first.id, client=client)
    print(
        json.dumps(
            {
                "held": len(held.items),
                "sender": first.account,
                "id": released.id,
                "state": released.state.value,
                "again": again.type_,
                "unknown": unknown.type_,
                "raw": raw.payload.read().decode(),
            }
        )
    )
