"""The server as a stranger and as the page meet it, over real connections."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn
from sklearn.datasets import load_iris

from narrowing import untyped
from vaekit import VariationalAutoencoder
from vaekit.cli import main
from vaekit.data import from_object
from vaekit.errors import UsageError
from vaekit.explorer import Exploration, serve
from vaekit.explorer.serving import listening_socket
from vaekit.explorer.web_app import web_app

IRIS = untyped(load_iris())
TOKEN = "token-that-nobody-guesses"


@pytest.fixture(scope="module")
def model() -> VariationalAutoencoder:
    return VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2, random_state=0).fit(IRIS.data)


@pytest.fixture(scope="module")
def port(model: VariationalAutoencoder) -> Iterator[int]:
    listener = listening_socket(0)
    app = web_app(Exploration(model, from_object(IRIS.data)), TOKEN)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", http="h11"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def ask(
    port: int, path: str, body: bytes | None = None, *, host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{port}")
        connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.read(), {name.lower(): value for name, value in reply.getheaders()}


def question(port: int, name: str, asked: object) -> tuple[int, Any]:
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    status, answer, _ = ask(port, f"/{TOKEN}/ask/{name}", body)
    return status, json.loads(answer)


def test_the_page_and_its_questions_are_answered(port):
    status, page, headers = ask(port, f"/{TOKEN}/")
    assert (status, page[:15]) == (200, b"<!doctype html>")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy  # nothing is loaded from elsewhere
    assert headers["referrer-policy"] == "no-referrer"
    for name in ("explorer.js", "explorer.css", "plotly.js"):
        assert ask(port, f"/{TOKEN}/{name}")[0] == 200
    assert question(port, "description", {})[1]["rows"] == 150
    assert question(port, "decode", {"z": [0.0, 1.0]})[1]["z"] == [0.0, 1.0]
    place = {"place": [0.5, 1.0], "base": [0.0, 0.0], "kind": "components"}
    assert len(question(port, "decode_place", place)[1]["texts"]) == 4
    assert question(port, "walk", {"start": 0, "end": 9})[1]["described"] == "in a straight line"
    assert question(port, "neighbours", {"row": 3})[1]["rows"][0] != 3
    assert question(port, "selection", {"rows": [1, 2]})[1]["count"] == 2
    assert question(port, "selection_csv", {"rows": [1, 2]})[1].count("\n") == 3
    assert question(port, "alive", {}) == (200, {})


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/explorer.js",
        "/wrong/",
        "/wrong/plotly.js",
        f"/{TOKEN}x/",
        f"/{TOKEN[:-1]}/",
        "/%C3%A9%ff/",
        "//",
    ],
)
def test_without_the_token_nothing_is_told(port, path):
    status, body, _ = ask(port, path)
    assert status == 403
    assert b"not complete" in body
    assert ask(port, "/wrong/ask/description", b"{}")[0] == 403


def test_an_answer_over_a_connection_takes_less_than_30_milliseconds(port):
    times = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for i in range(12):
            start = time.perf_counter()
            connection.request("POST", f"/{TOKEN}/ask/decode", json.dumps({"z": [0.1 * i, 0.0]}))
            assert b"texts" in connection.getresponse().read()
            times.append(time.perf_counter() - start)
    assert min(times[1:]) < 0.030  # with delayed acknowledgements it would be 40


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[::1]"]
)
def test_other_hosts_are_refused(port, host):
    assert ask(port, f"/{TOKEN}/", host=host)[0] == 400
    assert ask(port, f"/{TOKEN}/ask/description", b"{}", host=host)[0] == 400


def test_localhost_is_this_host(port):
    assert ask(port, f"/{TOKEN}/", host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "../exploration.py", "..%2fexploration.py", "%2e%2e/exploration.py", "....//etc/passwd", "/etc/passwd",
        "%2fetc%2fpasswd", "explorer.html.jinja", "explorer.js/../../web_app.py", "explorer.js%00", "..\\web_app.py",
        "static/explorer.js",
    ],
)  # fmt: skip
def test_no_file_is_read_by_its_path(port, path):
    status, body, _ = ask(port, f"/{TOKEN}/{path}")
    assert status in (403, 404)
    assert b"root:" not in body
    assert b"import" not in body


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("decode", b"\xff\x00garbage", "cannot be read"),
        ("decode", b"", "cannot be read"),
        ("decode", b'{"z": [NaN, 0]}', "cannot be read"),
        ("decode", {"z": "high"}, "cannot be read"),
        ("decode", {"z": [1.0, 2.0], "file": "/etc/passwd"}, "unknown field"),
        ("decode", {"z": [1e400, 0.0]}, "cannot be read"),
        ("decode", {"z": [0.0, 1.0], "given": {"label": "3"}}, "no conditions"),
        ("decode", {"z": [0.0]}, "this model has 2"),
        ("row", {"row": 150}, "no row 150"),
        ("row", {"row": -1}, "no row -1"),
        ("row", {"row": 10**30}, "no row 1000"),
        ("map", {"kind": "everything"}, "no map 'everything'"),
        ("map", {"first": 7}, "no latent dimension 7"),
        ("colours", {"by": "column:99"}, "cannot be coloured"),
        ("decode_codes", {"codes": [1]}, "are no codes"),
        ("selection", {"rows": []}, "no row is chosen"),
        ("selection", b"[" * 5_000_000, "more than"),
    ],
)
def test_garbage_gets_400_and_a_sentence(port, name, asked, words):
    status, answer = question(port, name, asked)
    assert status == 400
    assert words in answer["error"]
    assert question(port, "alive", {})[0] == 200


def test_what_is_no_request_gets_400_and_the_server_lives(port):
    for noise in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    assert ask(port, f"/{TOKEN}/ask/nothing", b"{}")[0] == 404
    assert ask(port, f"/{TOKEN}/ask/description")[0] in (403, 404)
    assert question(port, "alive", {})[0] == 200


def test_a_question_that_fails_does_not_end_the_server(model, capfd):
    class Broken(Exploration):
        def row(self, row):
            raise RuntimeError("a part of its maker's own")

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(web_app(Broken(model), TOKEN), log_level="critical", lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        port = listener.getsockname()[1]
        assert question(port, "row", {"row": 1}) == (
            500,
            {"error": "the question failed; the terminal says why"},
        )
        assert question(port, "alive", {})[0] == 200
    finally:
        server.should_exit = True
        thread.join(10)
    assert "a part of its maker's own" in capfd.readouterr().err


def test_a_port_in_use_is_told_of(model, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"port={port}: cannot be opened \(Address already in use\); choose"
        ):
            serve(Exploration(model), port=port, browser=False)
        model.save(tmp_path / "iris.vae")
        assert main(["explore", str(tmp_path / "iris.vae"), "--port", str(port), "--no-browser"]) == 2
        assert f"vaekit: --port {port}: cannot be opened" in capsys.readouterr().err
    with pytest.raises(UsageError, match="port=70000"):
        serve(Exploration(model), port=70000, browser=False)


def test_the_verb_serves_until_it_is_interrupted(model, tmp_path):
    model.save(tmp_path / "iris.vae")
    command = [sys.executable, "-m", "vaekit", "explore", str(tmp_path / "iris.vae"), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/[\w-]{32}/)", address)
        assert found is not None
        port, path = int(found[1]), found[2]
        assert ask(port, path)[0] == 200
        assert ask(port, "/")[0] == 403
        process.send_signal(signal.SIGINT)
        start = time.perf_counter()
        out, err = process.communicate(timeout=20)
        assert time.perf_counter() - start < 5
    assert (process.returncode, out, err) == (0, "", "")


def test_the_verb_writes_one_file(model, tmp_path, capsys):
    model.save(tmp_path / "iris.vae")
    page = tmp_path / "iris.html"
    assert main(["explore", str(tmp_path / "iris.vae"), "--output", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(page)}
    assert "draws from the prior" in page.read_text()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n3,4\n")
    assert main(["explore", str(tmp_path / "iris.vae"), str(wrong), "--no-browser"]) == 3
    assert "wrong.csv" in capsys.readouterr().err
    assert os.listdir(tmp_path).count("iris.html") == 1
