"""Parses metrics with the official client, and prints the result as JSON."""

import json
import sys

from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as openmetrics

parsers = {"openmetrics": openmetrics, "text": text}
with open(sys.argv[2], encoding="utf-8") as file:
    families = list(parsers[sys.argv[1]].text_string_to_metric_families(file.read()))


def series(sample):
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}"


samples = [sample for family in families for sample in family.samples]
parsed = {
    "types": {family.name: family.type for family in families},
    "units": {family.name: family.unit for family in families if family.unit},
    "helped": all(family.documentation for family in families),
    "samples": {series(sample): sample.value for sample in samples},
    "count": len(samples),
}
print(json.dumps(parsed))
