"""The page of `vaekit explore`: how long a decoded place takes, and how many rows it takes to be slow.

    python benchmarks/explorer/run.py [--output benchmarks/explorer/results.json]

Each place is asked for over a connection to the server, as the page asks while the pointer moves, one after another:
the time from the question to the whole answer. The limit is 30 ms. Then a table of a million rows is opened, of which
100,000 are shown. Times are of the machine as it is: the load says how busy it was.
"""

import argparse
import http.client
import json
import os
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import uvicorn

from vaekit import ExplorationPage, VariationalAutoencoder
from vaekit.data import Dataset, from_object, read
from vaekit.explorer import Exploration
from vaekit.explorer.serving import listening_socket
from vaekit.explorer.web_app import web_app
from vaekit.reproductions import describe

PLACES = 200


def ask_many(exploration: Exploration) -> dict[str, float]:
    """Return times of decoded places over a connection, in milliseconds."""
    listener = listening_socket(0)
    config = uvicorn.Config(
        web_app(exploration, "token"), log_level="critical", lifespan="off", ws="none", http="h11"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1])
    base = exploration.description()["start"]
    times = []
    for i in range(PLACES):
        asked = {"place": [0.01 * i - 1, 0.3], "base": base, "kind": "components"}
        start = time.perf_counter()
        connection.request("POST", "/token/ask/decode_place", json.dumps(asked))
        reply = connection.getresponse()
        answer = reply.read()
        times.append(1000 * (time.perf_counter() - start))
        assert reply.status == 200, answer
    connection.close()
    server.should_exit = True
    thread.join()
    slow = float(np.quantile(times, 0.95))
    return {"median_ms": round(statistics.median(times), 2), "slowest_of_20_ms": round(slow, 2)}


def fitted(data: Dataset, epochs: int, **options: object) -> VariationalAutoencoder:
    """Return a small model of some rows."""
    return VariationalAutoencoder(6, epochs=epochs, random_state=0, **options).fit(data)


def measure() -> dict[str, object]:
    """Return all results."""
    digits = read("digits")
    model = fitted(digits, 3)
    start = time.perf_counter()
    page = ExplorationPage.of(model, digits, name="digits")
    page_seconds = time.perf_counter() - start
    rng = np.random.default_rng(0)
    table = from_object(rng.normal(size=(2000, 16)) @ rng.normal(size=(16, 16)))
    many = from_object(rng.normal(size=(1_000_000, 6)))
    of_many = fitted(many.take(np.arange(20_000)), 1, network="mlp:hidden=32")
    start = time.perf_counter()
    shown = Exploration(of_many, many)
    opened = time.perf_counter() - start
    return {
        "load": [round(value, 1) for value in os.getloadavg()],
        "decode_digits": ask_many(Exploration(model, digits)),
        "decode_table_of_16_columns": ask_many(Exploration(fitted(table, 3), table)),
        "decode_among_100000_rows": ask_many(shown),
        "open_a_million_rows_s": round(opened, 2),
        "rows_shown_of_a_million": len(shown.shown),
        "one_file_of_digits_s": round(page_seconds, 2),
        "one_file_of_digits_mb": round(len(page.html.encode()) / 1e6, 1),
    }


def main() -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    machine = describe("vaekit", "torch", "starlette", "uvicorn", "plotly")
    document = json.dumps({"machine": machine, **measure()}, indent=2) + "\n"
    if arguments.output is None:
        print(document, end="")
    else:
        arguments.output.write_text(document)


if __name__ == "__main__":
    main()
