"""The PyPI package httpx-sse, which leaves it to its users to connect again.

The argument says where the events are.
"""

import json
import sys
import time
from importlib.metadata import version

import httpx
from httpx_sse import connect_sse


def report(what):
    print(json.dumps(what), flush=True)


def read(client, events, had, retry):
    """Reads a stream to its end; the id of the last event and the reconnection time in seconds.

    Returns None in place of the id if the server wants no further request.
    """
    headers = {"Last-Event-ID": had} if had else {}
    try:
        with connect_sse(client, "GET", events, headers=headers) as source:
            if source.response.status_code == 204:
                report({"stopped": "the answer is a 204"})
                return None, retry
            source.response.raise_for_status()
            report("open")
            for event in source.iter_sse():
                if event.retry is not None:
                    retry = event.retry / 1000
                # Blocks that are no events, such as a comment, are given too: without data, and with
                # the last id of this stream, if there was any.
                if event.id and (event.id != had or event.data):
                    had = event.id
                    report({"event": {"id": had, "type": event.event, "data": event.data}})
    except httpx.TransportError:
        pass
    return had, retry


def main():
    names = ", ".join(f"{name} {version(name)}" for name in ("httpx-sse", "httpx"))
    report({"client": f"{names} on Python {sys.version.split()[0]}"})
    events = json.loads(sys.argv[1])["events"]
    had, retry = "", 1.0
    # Without a timeout of its own, httpx gives up after 5 s without a byte.
    with httpx.Client(timeout=60) as client:
        while had is not None:
            had, retry = read(client, events, had, retry)
            time.sleep(retry)


main()
