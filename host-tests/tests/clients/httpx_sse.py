"""The PyPI package httpx-sse, whose users have to reconnect themselves.

The argument holds the URL of the events.
"""

import json
import sys
import time
from importlib.metadata import version

import httpx
from httpx_sse import connect_sse


def report(value):
    print(json.dumps(value), flush=True)


def read(client, events, last_id, retry):
    """Reads a stream to its end. Returns the id of the last event and the reconnection time in seconds.

    Returns None instead of the id if the server has stopped the client.
    """
    headers = {"Last-Event-ID": last_id} if last_id else {}
    try:
        with connect_sse(client, "GET", events, headers=headers) as source:
            if source.response.status_code == 204:
                report({"stopped": "the response is a 204"})
                return None, retry
            source.response.raise_for_status()
            report("open")
            for event in source.iter_sse():
                if event.retry is not None:
                    retry = event.retry / 1000
                last_id = event.id or last_id
                report({"event": {"id": event.id, "type": event.event, "data": event.data}})
    except httpx.TransportError:
        pass
    return last_id, retry


def main():
    names = ", ".join(f"{name} {version(name)}" for name in ("httpx-sse", "httpx"))
    report({"client": f"{names} on Python {sys.version.split()[0]}"})
    events = json.loads(sys.argv[1])["events"]
    last_id, retry = "", 1.0
    # By default, httpx fails after 5 s without a byte.
    with httpx.Client(timeout=60) as client:
        while last_id is not None:
            last_id, retry = read(client, events, last_id, retry)
            time.sleep(retry)


main()
