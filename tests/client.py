#!/usr/bin/env python3
"""A client of `gvpie serve` in Python's standard library, and what it expects of the server.

    python3 tests/client.py --url http://127.0.0.1:8081

prints a line for each thing it has seen, and ends with status 0, or 1 where something was not as it
should be. In a program:

    from client import Client, Problem

    gvpie = Client("http://127.0.0.1:8081", token=None)
    run = gvpie.run("TXT 10 10 Hello World\\nHALT", canvas="base64")
    print(run["cycles_executed"], run["backend_used"], run["canvas"])
    try:
        gvpie.assemble("ADDD r1 r2")
    except Problem as problem:
        print(problem.status, problem.detail, problem.errors)
"""

import argparse
import base64
import json
import os
import struct
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zlib


class Problem(Exception):
    """What the server answered instead of a result: the members of problem details (RFC 9457)."""

    def __init__(self, status, kind, body):
        self.status = status
        self.kind = kind  # the content type of the answer
        self.type = body.get("type")
        self.title = body.get("title")
        self.detail = body.get("detail")
        self.errors = body.get("errors", [])
        super().__init__(f"{status} {self.title}: {self.detail}")


class Client:
    """Asks a server. Each call returns the JSON of the answer, or raises `Problem`."""

    def __init__(self, url="http://127.0.0.1:8081", token=None, timeout=30):
        self.url = url.rstrip("/")
        self.token = token
        self.timeout = timeout  # seconds

    def request(self, method, path, body=None):
        """The status, the headers and the bytes of an answer."""
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        # No proxy that the environment names stands between this machine and itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            raw = error.read()
            kind = error.headers.get_content_type()
            described = json.loads(raw) if kind.endswith("json") else {}
            raise Problem(error.code, kind, described) from None

    def json(self, method, path, body=None):
        """The JSON of an answer; None where there is no body."""
        raw = self.request(method, path, body)[2]
        return json.loads(raw) if raw else None

    def health(self):
        return self.json("GET", "/health")

    def status(self):
        return self.json("GET", "/status")

    def backends(self):
        return self.json("GET", "/api/pixel/backends")

    def assemble(self, source):
        return self.json("POST", "/api/pixel/assemble", {"source": source})

    def run(self, source, **options):
        """Runs a text; the options are those of POST /api/pixel/run."""
        return self.json("POST", "/api/pixel/run", {"source": source, **options})

    def save(self, name, source, **about):
        """Makes a cartridge of a text; `about` may have slug, author, tags and parent_id."""
        return self.json("POST", "/api/cartridges", {"name": name, "source": source, **about})

    def cartridges(self):
        """All cartridges, the pages of the list one after the other."""
        cursor = ""
        while cursor is not None:
            page = self.json("GET", f"/api/cartridges?limit=100{cursor}")
            yield from page["items"]
            after = page["next"]
            cursor = None if after is None else f"&cursor={urllib.parse.quote(str(after))}"

    def cartridge(self, name):
        """A cartridge by its id or its slug, with its source."""
        return self.json("GET", f"/api/cartridges/{name}")

    def image(self, name):
        """The file of a cartridge, which is a picture."""
        return self.request("GET", f"/api/cartridges/{name}/image.png")[2]

    def run_cartridge(self, name, **options):
        return self.json("POST", f"/api/cartridges/{name}/run", options)

    def delete(self, name):
        return self.json("DELETE", f"/api/cartridges/{name}")


def expect(found, wanted, what):
    """Raises AssertionError unless the two are equal."""
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, found {found!r}")


def refused(act):
    """The problem that a call ends with."""
    try:
        answer = act()
    except Problem as problem:
        return problem
    raise AssertionError(f"expected a problem, found {answer!r}")


def described(problem, status):
    """Checks that a problem says all that problem details must."""
    expect(problem.status, status, "status")
    expect(problem.kind, "application/problem+json", "content type")
    for name in ["type", "title", "detail"]:
        if not getattr(problem, name):
            raise AssertionError(f"the problem has no {name}")


HELLO = "TXT 10 10 Hello World\nHALT"


def check_health(gvpie):
    expect(gvpie.health(), {"status": "ok"}, "health")


def check_status(gvpie):
    status = gvpie.status()
    expect(status["name"], "gvpie", "name")
    expect(status["gpu_available"], status["adapter"] is not None, "gpu_available")
    if not status["version"] or status["uptime_s"] < 0:
        raise AssertionError(f"version {status['version']!r}, uptime {status['uptime_s']}")
    return f"version {status['version']}, {status['adapter'] or 'no GPU'}"


def check_backends(gvpie):
    backends = {backend["name"]: backend for backend in gvpie.backends()["backends"]}
    expect(sorted(backends), ["cpu", "gpu"], "backends")
    expect(backends["cpu"]["available"], True, "the CPU")
    return ", ".join(name for name, backend in sorted(backends.items()) if backend["available"])


def check_run(gvpie):
    run = gvpie.run(HELLO)
    expect(run["success"], True, "success")
    expect(run["cycles_executed"], 2, "cycles")
    expect(run["status"], "halted", "status")
    expect(run["canvas"], [64, 64], "canvas")
    expect(len(run["canvas_data"]), 64 * 64, "pixels")
    lit = sum(1 for pixel in run["canvas_data"] if pixel & 0xFFFFFF)
    if not 50 < lit < 64 * 10:
        raise AssertionError(f"{lit} pixels are lit")
    return f"2 cycles, {lit} pixels lit, {run['execution_time_ms']:.2f} ms on the {run['backend_used']}"


def check_canvas(gvpie):
    """The same canvas in each of the ways it is answered in."""
    run = gvpie.run(HELLO)
    raw = struct.pack(f"<{64 * 64}I", *run["canvas_data"])
    coded = gvpie.run(HELLO, canvas="base64")
    expect(base64.b64decode(coded["canvas_data"]), raw, "canvas in base64")
    expect(coded["canvas_sha256"], run["canvas_sha256"], "hash")
    drawn = base64.b64decode(gvpie.run(HELLO, canvas="png")["canvas_data"])
    expect(size(drawn), (64, 64), "size of the PNG")
    expect(gvpie.run(HELLO, canvas="none")["canvas_data"], None, "no canvas")


def size(png):
    """The size of a PNG, whose first chunk is read and checked."""
    expect(png[:8], b"\x89PNG\r\n\x1a\n", "signature")
    length, kind = struct.unpack(">I4s", png[8:16])
    expect((length, kind), (13, b"IHDR"), "first chunk")
    expect(struct.unpack(">I", png[29:33])[0], zlib.crc32(png[12:29]), "its sum")
    return struct.unpack(">II", png[16:24])


def check_error(gvpie):
    problem = refused(lambda: gvpie.assemble("CLS\n  REKT 1 2 3 4\nHALT"))
    described(problem, 422)
    expect(len(problem.errors), 1, "errors")
    fault = problem.errors[0]
    expect((fault["line"], fault["column"], fault["end_column"]), (2, 3, 7), "place")
    expect(fault["code"], "unknown-mnemonic", "code")
    described(refused(lambda: gvpie.run("ADDD r1 r2")), 422)
    return f"{fault['line']}:{fault['column']} {fault['message']}"


def check_cartridge(gvpie):
    slug = f"client-{uuid.uuid4().hex[:12]}"
    source = ".canvas 64 64\nTXT 10 10 Hello World\nHALT"
    made = gvpie.save("From the client", source, slug=slug, author="client.py", tags=["test"])
    expect((made["slug"], made["name"]), (slug, "From the client"), "the new cartridge")
    if slug not in [one["slug"] for one in gvpie.cartridges()]:
        raise AssertionError(f"{slug} is not in the list")
    read = gvpie.cartridge(made["id"])
    expect(read["source"], source, "source")
    expect(read["instructions"], 2, "instructions")
    expect(gvpie.cartridge(slug)["id"], made["id"], "by its slug")
    expect(size(gvpie.image(slug))[0], 128, "width of its picture")
    run = gvpie.run_cartridge(slug)
    expect((run["success"], run["cycles_executed"]), (True, 2), "its run")
    expect(run["canvas_sha256"], gvpie.run(source)["canvas_sha256"], "canvas")
    expect(gvpie.delete(slug), None, "deletion")
    described(refused(lambda: gvpie.cartridge(slug)), 404)
    return slug


def check_missing(gvpie):
    described(refused(lambda: gvpie.json("GET", "/api/nowhere")), 404)
    problem = refused(lambda: gvpie.cartridge("not-there"))
    described(problem, 404)
    return problem.detail


CHECKS = [
    ("health", check_health),
    ("status", check_status),
    ("backends", check_backends),
    ("run", check_run),
    ("canvas", check_canvas),
    ("assembler error", check_error),
    ("cartridge", check_cartridge),
    ("nothing there", check_missing),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8081", help="where the server is")
    parser.add_argument("--token", default=os.environ.get("GVPIE_TOKEN"), help="its GVPIE_TOKEN")
    options = parser.parse_args()
    gvpie = Client(options.url, options.token)
    failed = 0
    for name, check in CHECKS:
        try:
            note = check(gvpie)
        except (AssertionError, KeyError, OSError, Problem, ValueError) as error:
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
        else:
            print(f"ok  {name}" + (f": {note}" if note else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
