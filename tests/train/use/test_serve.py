"""`train serve`: a video dropped on the page gets its answer, and whatever is sent, nothing stays and it goes on."""

import http.client
import io
import ipaddress
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import av
import made_up
import numpy as np
import psutil
import pytest
import torch
from devtools import Tab, browser_tab
from html_page import Page, needs_chromium
from people_clips import side_by_side, two_people

MB = 1_000_000
VIDEO = {"Content-Type": "application/octet-stream"}


@dataclass
class Server:
    """A running `train serve`. temporary: folder for its temporary files"""

    process: subprocess.Popen
    url: str
    printed: Path
    temporary: Path

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def lines(self) -> list[str]:
        return self.printed.read_text().splitlines()

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def found(self) -> list[Path]:
        """All files and folders; os.walk lets one vanish meanwhile, Path.rglob does not."""
        walk = os.walk(self.temporary)
        return [Path(parent, name) for parent, folders, names in walk for name in (*folders, *names)]

    def files(self) -> list[Path]:
        return [path for path in self.found() if path.name != "work" and path.parent != self.temporary]

    def request(
        self, method: str, path: str, body=None, headers=None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=300)
        try:
            connection.request(method, path, body, {"Origin": f"http://{self.host}"} | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def send(self, body, name="a.mp4", **headers) -> tuple[int, list[dict]]:
        """Upload a video; the status, and the lines of the answer, a refusal in plain text as one."""
        address = f"/videos?name={quote(name, errors='surrogatepass')}"
        status, _, content = self.request("POST", address, body, VIDEO | headers)
        if status != 200:
            return status, [{"refused": content.decode()}]
        return status, [json.loads(line) for line in content.splitlines()]

    def open_upload(self, body: bytes, length: int, name="a.mp4") -> socket.socket:
        """Begin an upload: say how long it is, and send a part."""
        own, port = self.host.split(":")
        connection = socket.create_connection((own, int(port)), timeout=300)
        head = f"POST /videos?name={name} HTTP/1.1\r\nHost: {self.host}\r\nOrigin: http://{self.host}\r\n"
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection


@contextmanager
def serving(program, folder: Path, *flags: object, run: object = "default") -> Iterator[Server]:
    """Start a server on a free port as a shell does, in a process group of its own."""
    (folder / "tmp").mkdir(parents=True)
    printed = folder / "stderr"
    command = [*map(str, (program("train"), "serve", run, "--port", 0, *flags))]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    with printed.open("wb") as errors:
        process = subprocess.Popen(
            command, env=environment, stdout=errors, stderr=errors, start_new_session=True, cwd=folder
        )
    try:
        while not (found := re.search(r"http://\S+", printed.read_text())):
            assert process.poll() is None, printed.read_text()
            time.sleep(0.05)
        yield Server(process, found[0], printed, folder / "tmp")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@pytest.fixture(scope="module")
def server(program, tmp_path_factory):
    with serving(program, tmp_path_factory.mktemp("server"), "--max-mb", 2, "--max-seconds", 20) as started:
        yield started


@pytest.fixture(scope="module")
def clip(sample_clips) -> Path:
    return sample_clips / "1001_DFA_HAP_XX.flv"


def eventually(true) -> None:
    """Wait for what must come about, however slow the machine is."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_answer_to_a_video_has_timeline_crops_and_probabilities(server, clip):
    status, lines = server.send(clip.read_bytes(), "../../<b>my clip</b>.flv")
    assert status == 200
    assert {"extracting", "predicting windows"} <= {line.get("doing") for line in lines}
    page = Page(lines[-1]["answer"].encode())
    assert not page.open and not page.all("b") and not page.all("script")
    assert "../../<b>my clip</b>.flv" in page.text
    chart, *crops = page.all("img")
    assert "happiness" in chart["alt"] and len(crops) == 16
    points = [each for each in page.all("svg") if each.get("class") == "points"]
    assert len(points) == 16 and len(page.all("circle")) == 16 * 18
    shares = [float(found) for found in re.findall(r"(\d+\.\d) %", page.text)]
    assert len(shares) == 8 and sum(shares) == pytest.approx(100, abs=0.5) and shares == sorted(shares)[::-1]
    assert server.files() == []


def test_several_people_have_a_chart_a_table_and_their_doubts_each(
    program, sample_clips, write_video, tmp_path
):
    astronaut, actor = two_people(sample_clips, 40)
    gone = [*actor[:15], *(np.full_like(actor[0], 128) for _ in actor[15:])]
    pair = write_video(tmp_path / "pair.mp4", side_by_side(astronaut, gone))
    with serving(program, tmp_path / "server", "--people", "all") as server:
        assert b"of everybody in the video" in server.request("GET", "/")[2]
        _, lines = server.send(pair.read_bytes(), "ours.mp4")
    page = Page(lines[-1]["answer"].encode())
    assert not page.open
    assert all(page.text.count(f"ours.mp4, person {number}") == 1 for number in (1, 2))
    assert page.text.count("Mean probability in the windows with a face") == 2
    assert page.text.count("Shorter than a window (1.6 s), so 13 frames were taken of it") == 2
    assert page.text.count("100 % of 1 window") == 2
    assert page.text.index("person 2") < page.text.index("A rare face: it was found in ")


def test_what_is_doubtful_about_a_video_stands_under_its_answer(server, sample_clips, write_video, tmp_path):
    astronaut, actor = two_people(sample_clips, 12)
    for shown, doubt in (
        (astronaut[:7] + actor[:5], "frames show another person."),
        (astronaut[:1], "so 1 frame was taken of it, not the 16 of the model; expect a worse answer."),
    ):
        _, lines = server.send(write_video(tmp_path / "cut.mp4", shown).read_bytes())
        page = Page(lines[-1]["answer"].encode())
        assert doubt in page.text and {each["class"] for each in page.all("p")} == {"warning"}
        assert "--" not in page.text and {"doing", "of", "done", "answer"} == {
            key for line in lines for key in line
        }


def test_what_is_no_video_is_refused_with_what_to_do(server):
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    pointer = b"version https://git-lfs.github.com/spec/v1\n"
    for body, name, said in (
        (png, "still.png", "This is a picture; choose a video."),
        (png, "still.mp4", "This is a picture; choose a video."),
        (pointer, "a.mp4", "This is a Git LFS pointer, not a video; choose the video itself."),
    ):
        assert server.send(body, name)[1][-1]["refused"].endswith(said)


@needs_chromium
def test_a_dropped_video_waits_visibly_and_is_answered_in_the_browser(server, clip, tmp_path):
    first = threading.Thread(target=server.send, args=(clip.read_bytes(), "first.flv"))
    with browser_tab(tmp_path / "profile") as tab:
        tab.open(server.url, 1280)
        assert_fits(tab, 1280)
        first.start()
        eventually(server.files)
        tab.drop("#drop", clip)
        tab.wait_for("document.getElementById('status').textContent == 'Waiting: 1 video is before yours.'")
        assert tab.value("getComputedStyle(document.getElementById('progress')).display") == "block"
        tab.wait_for("!document.getElementById('result').hidden")
        assert tab.value("document.querySelectorAll('.crop img').length") == 16
        assert tab.value("[...document.images].every(each => each.complete && each.naturalWidth)")
        assert tab.value("document.activeElement.id") == "result"
        assert tab.value("document.getElementById('video').files[0].name") == clip.name
        assert_fits(tab, 1280)
        tab.screenshot(tmp_path / "1280.png")
        tab.resize(390)
        assert_fits(tab, 390)
        assert tab.value("document.querySelector('.shares .rate').getBoundingClientRect().width") > 100
        tab.screenshot(tmp_path / "390.png")
        first.join()
        assert {urlsplit(url).netloc for url in tab.loaded() if not url.startswith("data:")} == {server.host}
        assert tab.complaints() == []


def assert_fits(tab: Tab, width: int) -> None:
    """Nothing sticks out of the window."""
    out = "[...document.querySelectorAll('body *')].filter(each => each.getBoundingClientRect().right > innerWidth)"
    assert tab.value(f"[innerWidth, document.documentElement.scrollWidth, {out}.length]") == [width, width, 0]


@needs_chromium
def test_a_folder_and_a_second_video_are_refused_when_dropped(server, clip, tmp_path):
    (tmp_path / "folder").mkdir()
    shown = "getComputedStyle(document.getElementById('wait')).display == 'block'"
    with browser_tab(tmp_path / "profile") as tab:
        tab.open(server.url, 390)
        tab.drop("#drop", tmp_path / "folder")
        tab.wait_for(
            "document.querySelector('#status.refused')?.textContent == 'Drop a video, not a folder.'"
        )
        assert not tab.value(shown)
        tab.drop("#drop", clip)
        tab.wait_for("!document.getElementById('cancel').hidden")
        tab.drop("#drop", clip)
        tab.wait_for(shown)
        assert (
            tab.value("document.getElementById('wait').textContent") == "Wait for the answer, or cancel it."
        )
        assert_fits(tab, 390)
        tab.value("document.getElementById('cancel').click()")
        tab.wait_for("document.getElementById('status').textContent == 'Cancelled.'")
        assert not tab.value(shown)


@needs_chromium
def test_without_a_mouse_a_file_is_chosen_and_each_refusal_is_a_sentence(server, astronaut_video, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(astronaut_video.read_bytes()[:-500])
    (tmp_path / "page.mp4").write_text("<html>")
    (tmp_path / "large.mp4").write_bytes(bytes(2 * MB + 1))
    (tmp_path / "notes.txt").write_bytes(b"notes")
    with browser_tab(tmp_path / "profile") as tab:
        tab.open(server.url, 390)
        tab.press("Tab", 9)
        assert tab.value("document.activeElement.labels[0].textContent") == "Drop a video here, or choose one"
        said = {}
        for name in ("page.mp4", "large.mp4", "notes.txt", "cut.mp4"):
            field = tab.call("DOM.querySelector", nodeId=root(tab), selector="#video")["nodeId"]
            tab.call("DOM.setFileInputFiles", files=[str(tmp_path / name)], nodeId=field)
            said[name] = tab.wait_for("document.querySelector('#status.refused')?.textContent")
            tab.value("document.getElementById('status').className = ''")
        assert_fits(tab, 390)
    assert said["page.mp4"].startswith("This is a web page, not a video")
    assert said["large.mp4"] == "The file is larger than 2 MB, the most that this server takes."
    assert said["notes.txt"].startswith("By its name this is not a video")
    assert said["cut.mp4"].endswith("It may be cut off or damaged; copy or download it again.")


def root(tab: Tab) -> int:
    return tab.call("DOM.getDocument")["root"]["nodeId"]


def test_other_pages_cannot_use_the_server_and_it_loads_nothing_from_elsewhere(server, clip):
    video = clip.read_bytes()
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"x://{server.host}"},
        {"Origin": f"https://{server.host}"},
        {"Host": f"evil.example@{server.host}", "Origin": f"http://evil.example@{server.host}"},
        {"Origin": ""},
        {"Host": "evil.example"},
    ):
        status, _ = server.send(video, **headers)
        assert status == 403, headers
    assert server.request("GET", "/", headers={"Host": "evil.example:80"})[0] == 403
    for host in (
        "[1:2",
        f"evil.example@{server.host}",
        f"@{server.host}",
        f"{server.host}/a",
        f"{server.host}?a",
    ):
        assert server.request("GET", "/", headers={"Host": host})[0] == 403
    port = server.host.split(":")[1]
    for host in (f"localhost:{port}", f"[::1]:{port}"):
        assert server.request("GET", "/", headers={"Host": host})[0] == 200
    for path in ("/", "/serve.css", "/serve.js", "/docs", "/openapi.json"):
        status, headers, content = server.request("GET", path)
        assert status == (404 if path in ("/docs", "/openapi.json") else 200)
        policy = headers["Content-Security-Policy"]
        assert (
            "default-src 'none'; script-src 'self'" in policy and "unsafe" not in policy and "*" not in policy
        )
        assert not re.search(rb"https?://|//[a-z]", re.sub(rb"(?m)(^|\s)// .*$", b"", content))


def test_it_listens_on_this_machine_only(server):
    listening = [
        each for each in psutil.Process(server.process.pid).net_connections() if each.status == "LISTEN"
    ]
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}


def test_of_a_model_that_takes_face_crops_the_server_says_so_at_its_start(program, small_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    saved = torch.load(run / "last.pt", weights_only=True)
    saved["origin"]["extraction"][0]["input"] = "face"
    torch.save(saved, run / "last.pt")
    with serving(program, tmp_path / "server", run=run) as server:
        note, _ = server.lines
        assert "was trained on face crops" in note and "add --input scene" in note


def test_opened_to_the_network_it_prints_an_address_that_others_reach(program, tmp_path):
    with serving(program, tmp_path / "server", "--host", "0.0.0.0") as server:
        own, port = server.host.split(":")
        assert not ipaddress.ip_address(own).is_unspecified
        assert server.request("GET", "/")[0] == 200
        status, _, content = server.request("GET", "/", headers={"Host": f"a-machine:{port}"})
        assert status == 403 and b"by the IP address that" in content


def test_uploads_are_kept_where_only_this_user_can_read(server):
    assert [path.stat().st_mode & 0o777 for path in server.temporary.rglob("*") if path.is_dir()] == [
        0o700
    ] * 2


def archive() -> bytes:
    """A small file that would be 200 MB if somebody unpacked it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.mp4", bytes(200 * MB))
    return content.getvalue()


def two_frames(path: Path, size: tuple[int, int], seconds: int) -> bytes:
    """A video of two frames, so many seconds from each other."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p"
        for place in (0, seconds):
            frame = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0], 3), np.uint8), format="rgb24")
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


NAMES = [
    "../../etc/passwd.mp4",
    "..\\..\\a.mp4",
    "/dev/null.mp4",
    "a\0b.mp4",
    "a\n\x1b[2Jb.mp4",
    "x" * 5000 + ".mp4",
]
NAMES += [".mp4/", "", "\udcff.mp4", "%2e%2e%2fa.mp4", "CON.mp4", "'; rm -rf ~; '.mp4"]


def hostile(server: Server, clip: Path, audio_only: Path, folder: Path) -> Iterator[tuple]:
    """Uploads to refuse: each a body, and more arguments of `Server.send`."""
    chance, zipped = random.Random(17), archive()
    web_page = b"<!doctype html><script>alert(1)</script>"
    for name in NAMES * 4:
        yield web_page, name
    for _ in range(25):
        yield b"", "empty.mp4"
        yield zipped, "bomb.mp4"
        yield (chance.randbytes(70_000) for _ in range(31)), "endless.mp4"  # its length is not stated
    for kind in ("video/mp4", "text/plain", "multipart/form-data; boundary=x", "application/json") * 3:
        yield clip.read_bytes(), "a.flv", {"Content-Type": kind}
    for name in ("photo.jpg", "notes.txt", "archive.zip", "mp4") * 3:
        yield clip.read_bytes(), name
    yield chance.randbytes(100_000), "random.mp4"
    yield clip.read_bytes()[:2000], "cut.flv"
    yield audio_only.read_bytes(), "sound.mp4"
    yield two_frames(folder / "long.mkv", (64, 64), 36_000), "long.mkv"
    yield two_frames(folder / "8k.mkv", (7680, 4320), 1), "8k.mkv"


def test_two_hundred_hostile_uploads_leave_no_file_no_process_and_a_working_server(
    server, clip, audio_only, tmp_path
):
    server.send(clip.read_bytes())
    processes, begin, sent = len(server.processes()), memory(server), 0
    for number, (body, name, *headers) in enumerate(hostile(server, clip, audio_only, tmp_path)):
        sent += 1
        try:
            status, lines = server.send(body, name, **(headers[0] if headers else {}))
        except (BrokenPipeError, ConnectionResetError):
            assert name == "endless.mp4"  # it was still sending
            continue
        assert "refused" in lines[-1] and status != 500, (number, name, lines)
        assert re.fullmatch(r"[A-Z].*[.]", lines[-1]["refused"]), lines
    for part in (b"", clip.read_bytes()[:50_000]) * 15:
        server.open_upload(part, MB, "left.mp4").close()  # left in the middle
        sent += 1
    eventually(lambda: sum(line.startswith("left.mp4") for line in server.lines) == 30)
    slow = [server.open_upload(b"x", MB) for _ in range(40)]  # at once, and they never end
    eventually(lambda: len(select.select(slow, [], [], 0)[0]) == 32)
    answered, _, _ = select.select(slow, [], [], 0)
    assert all(b"busy with 8 videos" in everything(each) for each in answered)
    for each in slow:
        each.close()
    assert sent + len(slow) >= 200
    eventually(lambda: server.files() == [] and len(server.processes()) == processes)
    assert memory(server) < 1.3 * begin
    assert server.send(clip.read_bytes())[1][-1].keys() == {"answer"}
    assert all(line.isprintable() for line in server.lines)
    assert not any("Traceback" in line or "Error" in line for line in server.lines)


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(5000), b""))


def memory(server: Server) -> int:
    return sum(each.memory_info().rss for each in [psutil.Process(server.process.pid), *server.processes()])


def test_what_takes_too_long_is_refused_and_the_next_upload_answered(program, clip, tmp_path):
    with serving(program, tmp_path / "server", "--timeout", 0.5, "--people", 2) as server:
        with server.open_upload(b"x", 100) as slow:
            assert b"did not arrive within 0.5 s" in everything(slow)
        before = server.processes()
        _, lines = server.send(clip.read_bytes(), "a.flv")
        said = "No answer within 0.5 s; try a shorter video, or one with fewer people."
        assert lines[-1] == {"refused": said}
        eventually(lambda: server.files() == [])
        assert server.send(b"<html>")[1][-1]["refused"].startswith("This is a web page")
        eventually(lambda: len(server.processes()) == len(before))
        assert set(server.processes()) != set(before)  # another process answers now
        for each in server.processes():
            if "spawn_main" in " ".join(each.cmdline()):
                each.kill()
                eventually(lambda killed=each: not alive(killed))
        assert server.send(b"<html>")[1][-1]["refused"].startswith("This is a web page")
        eventually(lambda: len(server.found()) == 2)


def test_a_full_disk_during_an_answer_is_said_in_plain_words(server, clip):
    (worker,) = (each for each in server.processes() if "spawn_main" in str(each.cmdline()))
    before = worker.rlimit(psutil.RLIMIT_FSIZE)
    try:
        for size in (40_000, 200_000):  # bytes: the cache does not fit, the answer does not
            worker.rlimit(psutil.RLIMIT_FSIZE, (size, before[1]))
            _, lines = server.send(clip.read_bytes(), clip.name)
            assert lines[-1] == {"refused": "The server failed: File too large."}
    finally:
        worker.rlimit(psutil.RLIMIT_FSIZE, before)
    eventually(lambda: server.printed.read_text().count("refused: The server failed: File too large.") == 2)


def test_who_leaves_before_the_answer_ends_the_work(server, clip):
    video = clip.read_bytes()
    with server.open_upload(video, len(video), "left.flv") as connection:
        connection.recv(5000)
        assert server.files()
    eventually(lambda: server.files() == [] and any("left.flv: left before" in line for line in server.lines))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_an_answer_leaves_no_file_and_no_process(program, clip, tmp_path, number):
    with serving(program, tmp_path / "server") as server:
        video = clip.read_bytes()
        connection = server.open_upload(video, len(video), "a.flv")
        with connection.makefile("rb") as lines:
            assert any(b"extracting" in line for line in lines)
        waiting = server.open_upload(video, len(video), "b.flv")
        arriving = server.open_upload(video[:100], len(video), "c.flv")
        eventually(lambda: len(server.files()) >= 5)
        processes = server.processes()
        os.killpg(server.process.pid, number)
        server.process.wait(60)
        assert server.process.returncode == 128 + number
        for each in (connection, waiting, arriving):
            each.close()
        eventually(lambda: not any(alive(each) for each in processes))
        assert list(server.temporary.iterdir()) == []
    assert server.lines[-1] == "train: interrupted"
    assert not any("Traceback" in line for line in server.lines)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_what_is_wrong_at_the_start_is_one_line(cli, server, program, tmp_path):
    port = server.host.split(":")[1]
    outcome = cli("train", "serve", "default", "--port", port)
    assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
    assert outcome.stderr.endswith("in use; choose another --port, or 0 for any free one\n")
    for host in ("192.0.2.1", "a" * 300):  # the first is kept for examples, so no machine has it
        outcome = cli("train", "serve", "default", "--port", 0, "--host", host)
        assert outcome.returncode == 1 and outcome.stderr.startswith(f"train: --host {host}: ")
        assert outcome.stderr.endswith("; give an address of this machine, such as 127.0.0.1\n")
    outcome = cli("train", "serve", tmp_path / "run", "--port", 0, "--host", "0.0.0.0")
    warning, error = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and "over the network" in warning and "no such run" in error
    outcome = cli("train", "serve", "default", "--port", 0, "--people", 0)
    assert outcome.returncode == 1 and outcome.stderr == "train: --people 0: must be between 1 and 1000\n"
    for flag, value in (("--max-mb", "inf"), ("--max-seconds", "nan"), ("--timeout", "inf"), ("--host", "")):
        outcome = made_up.train("serve", "default", "--port", 0, flag, value)
        line = outcome.stderr.splitlines()[-1]
        assert outcome.exit_code == 2 and f"'{flag}'" in line and ("finite" in line or "empty" in line)
    code = "import sys; sys.modules['uvicorn'] = None; from dfer.train.cli import main; main(['serve', 'default'])"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
    assert "pip install '.[serve]'" in outcome.stderr
