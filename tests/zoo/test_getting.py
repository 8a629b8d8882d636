"""Models that travel: handed on, got from everywhere, and refused where something is wrong."""

import errno
import http.server
import json
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.models import Model
from mapose.zoo import add_model, find_model, find_zoo, get_model, list_models
from mapose.zoo.cards import CHECKSUMS, hash_file, read_licence
from tests.untrained import make_untrained


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MAPOSE_ZOO", str(tmp_path / "zoo"))
    make_untrained().save(tmp_path / "mice")
    return tmp_path / "mice"


@pytest.fixture
def packed(model, tmp_path) -> Path:
    return add_model(model, licence="CC-BY-4.0", output=tmp_path / "mice.zip")


@pytest.fixture
def serve(tmp_path):
    """Serve the files of the folder, or what a test says, from this machine."""
    answers: dict[str, tuple[int, bytes]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            claimed, data = answers.get(self.path, (-1, b""))
            self.send_response(200 if claimed >= 0 else 404)
            self.send_header("Content-Length", str(max(claimed, 0)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield answers, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def list_left() -> list[str]:
    return [p.name for p in find_zoo().iterdir()] if find_zoo().exists() else []


def rewrite(archive: Path, change) -> Path:
    """Write the zip file anew, its entries changed by a function of (name, bytes)."""
    out = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            new.writestr(*change(entry.filename, old.read(entry)))
    return out


def test_a_model_goes_from_lab_to_lab(model, packed, tmp_path):
    folder = get_model(packed, name="theirs")
    assert folder == tmp_path / "zoo" / "theirs" and find_model("zoo:theirs") == folder
    assert Model.load(folder).hash == Model.load(model).hash
    assert read_licence(folder) == "CC-BY-4.0"
    row = next(m for m in list_models().models if m["name"] == "theirs")
    assert row["licence"] == "CC-BY-4.0" and row["keypoints"] == 2 and row["own"]
    assert not (model / CHECKSUMS).exists()  # the lab's own folder stays as it is
    assert list_left() == ["theirs"]


def test_a_card_is_kept_and_its_licence_shown(model, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("---\nlicense: MIT\ncite: Doe 2024\n---\n# Black mice\n", encoding="utf-8")
    folder = add_model(model, card=card)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert read_licence(folder) == "MIT" and "cite: Doe 2024" in text and "# Black mice" in text
    assert read_licence(add_model(model, name="other")) == "not stated"
    assert "keypoints: a, b" in (find_zoo() / "other" / "README.md").read_text(encoding="utf-8")


def test_a_model_of_that_name_is_replaced_by_force_only(model):
    add_model(model)
    with pytest.raises(SettingsError, match=r"there already.*--force"):
        add_model(model)
    with pytest.raises(SettingsError, match="choose another --name"):
        add_model(model, name="drawn-mice", force=True)  # it comes with mapose
    assert add_model(model, licence="MIT", force=True) and list_left() == ["mice"]
    assert read_licence(find_zoo() / "mice") == "MIT"


def test_a_damaged_model_of_the_zoo_is_told(model):
    folder = add_model(model)
    (folder / "model.yaml").write_bytes((folder / "model.yaml").read_bytes() + b"\n")
    with pytest.raises(FormatError, match=r"model\.yaml is not the file that its checksum is of"):
        find_model("zoo:mice")


def test_a_download_is_whole_and_the_one_that_was_told(packed, serve):
    answers, address = serve
    data = packed.read_bytes()
    answers["/mice.zip"] = (len(data), data)
    shown = []
    folder = get_model(
        f"{address}/mice.zip",
        sha256=hash_file(packed).upper(),
        on_progress=lambda done, total: shown.append((done, total)),
    )
    assert folder.name == "mice" and shown[-1] == (len(data), len(data))
    shutil.rmtree(folder)
    with pytest.raises(FormatError, match="not the file that the checksum is of"):
        get_model(f"{address}/mice.zip", sha256="0" * 64)
    answers["/mice.zip"] = (len(data), data[:-100])
    with pytest.raises(SettingsError, match=r"cannot be had|ended after"):
        get_model(f"{address}/mice.zip")
    with pytest.raises(SettingsError, match=r"cannot be had.*Not Found"):
        get_model(f"{address}/none.zip")
    answers["/mice.zip"] = (2**40, b"")
    with pytest.raises(FormatError, match="larger than a model may be"):
        get_model(f"{address}/mice.zip")
    assert list_left() == []


@pytest.mark.parametrize(
    "source", ["http://127.0.0.1:9/mice.zip", "hub:nobody/nothing", "nowhere/mice", "nowhere.zip"]
)
def test_a_source_that_is_not_there_is_one_clear_line(model, source, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SettingsError, match=r"cannot be had|there is no such"):
        get_model(source)
    assert list_left() == []


def make_link(name: str, data: bytes):
    entry = zipfile.ZipInfo("mice/LICENSE" if "README" in name else name)
    entry.external_attr = 0o120777 << 16 if "README" in name else 0
    return entry, data


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda n, d: (n.replace("mice/README", "../README"), d), "leads out of the folder"),
        (lambda n, d: (n.replace("mice/README", "/etc/README"), d), "leads out of the folder"),
        (lambda n, d: (n.replace("mice/README", "C:\\README"), d), "leads out of the folder"),
        (make_link, "is a link"),
        (lambda n, d: (n, d[:-9] if "weights" in n else d), "not the file that its checksum"),
        (lambda n, d: (n.replace("model.yaml", "other.yaml"), d), "wanted one model"),
        (lambda n, d: (n.replace("README.md", "a/model.yaml"), d), "wanted one model"),
        (lambda n, d: (n.replace("README.md", "LICENSE"), d), "among the checksums"),
    ],
)
def test_a_zip_file_that_is_unsafe_or_damaged_leaves_nothing(packed, change, told):
    with pytest.raises(FormatError, match=told):
        get_model(rewrite(packed, change))
    assert list_left() == []
    assert not (find_zoo().parent / "README.md").exists()


def test_a_bomb_half_a_zip_file_and_no_model_leave_nothing(model, packed, tmp_path):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mice/model.yaml", b"schema: 1")
        file.writestr("mice/weights.safetensors", bytes(200 << 20))
    with pytest.raises(FormatError, match="that is no model"):
        get_model(bomb)
    half = tmp_path / "half.zip"
    half.write_bytes(packed.read_bytes()[:500])
    with pytest.raises(FormatError, match="no zip file, or only part of one"):
        get_model(half)
    (model / "weights.safetensors").write_bytes(b"rubbish")
    with pytest.raises(FormatError, match="damaged weights"):
        get_model(model)
    assert list_left() == []


def test_nothing_but_a_models_own_files_is_taken(model, tmp_path):
    (model / "setup.py").write_text("print()", encoding="utf-8")
    (model / "weights.pt").write_bytes(b"a pickle")
    folder = get_model(model)
    assert sorted(p.name for p in folder.iterdir()) == [
        "SHA256SUMS", "model.yaml", "weights.safetensors"
    ]  # fmt: skip


def test_a_full_disk_is_no_damage_of_the_archive(packed, monkeypatch):
    real = Path.open

    def fail(self, mode="r", *args, **options):
        if self.name == "weights.safetensors" and "w" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(SettingsError, match=r"the disk of .* is full"):
        get_model(packed)
    assert list_left() == []


@pytest.mark.parametrize("name", ["..", "a/b", ".hidden", "C:x", ""])
def test_a_name_leads_nowhere_else(model, name):
    with pytest.raises(MaposeError, match="plain name"):
        find_model(f"zoo:{name}")


def test_the_commands(model, packed):
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["zoo", *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "zoo:mice (licence: CC-BY-4.0)" in run("get", str(packed))
    table = run("list")
    assert "zoo:drawn-mice" in table and "BSD-3-Clause" in table and "CC-BY-4.0" in table
    names = [m["name"] for m in json.loads(run("list", "--json"))["models"]]
    assert {"drawn-mice", "mice"} <= set(names)
    assert "zoo:second" in run("add", "zoo:mice", "--name", "second", "--licence", "MIT")
