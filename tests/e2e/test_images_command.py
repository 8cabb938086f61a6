"""``images``, ``inspect`` and ``history``: what docker's users expect to see, and that no image hides another."""

import json
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.images import MadeImage, dated, digest, make_image, put_in_store, with_config


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def image(store: Path) -> MadeImage:
    made = make_image(
        [{"a": b"1"}, {"b": b"2"}],
        config={"Cmd": ["sh"], "Env": ["PATH=/bin", "A=b"], "Labels": {"team": "x", "evil": "\u202etxt\x1b[2J"}},
    )
    made = dated(made, 2002)
    put_in_store(store, {"app:1": made, "example.com/team/app:2": made})
    return made


def output(*arguments: str, status: int = 0) -> str:
    done = fswatch_builder(*arguments, check=False)
    assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if status == 0 else done.stderr


def test_the_table_is_docker_s(store: Path, image: MadeImage) -> None:
    heading, *rows = output("images", f"--store={store}").splitlines()
    assert heading.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    short = digest(image.config).removeprefix("sha256:")[:12]
    assert sorted(row.split()[:3] for row in rows) == [["app", "1", short], ["example.com/team/app", "2", short]]
    assert all("years ago" in row for row in rows)


def test_quiet_full_and_digests(store: Path, image: MadeImage) -> None:
    assert output("images", "-q", "--no-trunc", "app", f"--store={store}") == digest(image.config) + "\n"
    assert image.digest in output("images", "--digests", f"--store={store}")


def test_formats(store: Path, image: MadeImage) -> None:
    rows = [json.loads(line) for line in output("images", "--json", f"--store={store}").splitlines()]
    assert {row["Repository"] for row in rows} == {"app", "example.com/team/app"}
    assert rows[0]["Digest"] == image.digest
    assert rows[0]["Platform"] == "linux/amd64"
    shown = output("images", "--format", "{{.Repository}}:{{.Tag}}", "app:1", f"--store={store}")
    assert shown == "app:1\n"
    table = output("images", "--format", r"table {{.Tag}}\t{{.Repository}}", "app:1", f"--store={store}")
    assert [line.split() for line in table.splitlines()] == [["TAG", "REPOSITORY"], ["1", "app"]]
    refused = output("images", "--format", "{{.Nope}}", f"--store={store}", status=2)
    assert "no .Nope" in refused
    assert "Repository" in refused
    assert "jq" in output("images", "--format", "{{range .}}", f"--store={store}", status=2)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["app"], {"app"}),
        (["app:2"], set()),
        (["*"], {"app", "other"}),
        (["*/*"], set()),
        (["*.com/team/app"], {"example.com/team/app"}),
        (["docker.io/library/app:1"], {"app"}),
        (["example.com/team/app:*"], {"example.com/team/app"}),
        (["-f", "reference=app:1"], {"app"}),
        (["-f", "label=team=x"], {"app", "example.com/team/app"}),
        (["-f", "label=team=y"], set()),
        (["-f", "dangling=true"], set()),
        (["-f", "since=other:1"], {"app", "example.com/team/app"}),
        (["-f", "before=app:1"], {"other"}),
    ],
)
def test_filters(store: Path, image: MadeImage, asked: list[str], found: set[str]) -> None:
    put_in_store(store, {"other:1": dated(make_image([{"c": b"3"}]), 2001)})
    shown = output("images", "--format", "{{.Repository}}", *asked, f"--store={store}")
    assert set(shown.split()) == found


def test_a_filter_that_is_none_is_refused(store: Path) -> None:
    assert "dangling=" in output("images", "-f", "nope=1", f"--store={store}", status=2)


def test_a_damaged_image_is_told_and_hides_no_other(store: Path, image: MadeImage) -> None:
    put_in_store(store, {"broken:1": make_image([{"x": b"x"}])})
    broken = make_image([{"x": b"x"}])
    (store / "blobs/sha256" / broken.digest.removeprefix("sha256:")).write_bytes(b"{}")
    done = fswatch_builder("images", f"--store={store}")
    assert "app" in done.stdout
    assert "broken" not in done.stdout
    assert "WARN: broken:1: " in done.stderr


def test_inspect_has_docker_s_members(store: Path, image: MadeImage) -> None:
    (told,) = json.loads(output("inspect", "app:1", f"--store={store}"))
    assert told["Id"] == digest(image.config)
    assert told["RepoTags"] == ["app:1", "example.com/team/app:2"]
    assert told["RepoDigests"] == [f"app@{image.digest}", f"example.com/team/app@{image.digest}"]
    assert told["Config"]["Cmd"] == ["sh"]
    assert told["RootFS"]["Layers"] == json.loads(image.config)["rootfs"]["diff_ids"]
    assert told["Architecture"] == "amd64"
    assert [layer["Digest"] for layer in told["LayersData"]] == [digest(layer) for layer in image.layers]


def test_inspect_by_template_and_raw(store: Path, image: MadeImage) -> None:
    told = output(
        "inspect", "-f", "{{.Os}} {{json .Config.Env}}", "app:1", "example.com/team/app:2", f"--store={store}"
    )
    assert told == 'linux ["PATH=/bin","A=b"]\n' * 2
    assert output("inspect", "--raw", "config", "app:1", f"--store={store}").encode() == image.config
    assert output("inspect", "--raw", "manifest", "app:1", f"--store={store}").encode() == image.manifest


def test_no_label_steers_a_terminal_and_none_is_lost(store: Path, image: MadeImage) -> None:
    text = output("inspect", "app:1", f"--store={store}")
    assert not {"\x1b", "\u202e"} & set(text)
    assert json.loads(text)[0]["Config"]["Labels"]["evil"] == "\u202etxt\x1b[2J"
    assert "\x1b" not in output("inspect", "-f", "{{.Config.Labels.evil}}", "app:1", f"--store={store}")


@pytest.mark.parametrize("config", [{"Env": 5}, {"Cmd": {"a": 1}}, {"Labels": ["x"]}])
def test_a_configuration_of_nonsense_is_an_error_and_can_still_be_read(store: Path, config: dict[str, object]) -> None:
    sane = make_image()
    put_in_store(store, {"odd:1": sane})
    odd = with_config(sane, {**json.loads(sane.config), "config": config})
    # Nothing of ours lets such a one in: it is put beside the store's back.
    for name, content in odd.blobs.items():
        (store / "blobs/sha256" / name.removeprefix("sha256:")).write_bytes(content)
    refused = output("inspect", odd.digest, f"--store={store}", status=5)
    assert "is not a valid document" in refused


def test_all_or_nothing_of_several_images(store: Path, image: MadeImage) -> None:
    done = fswatch_builder("inspect", "app:1", "nope", f"--store={store}", check=False)
    assert (done.returncode, done.stdout) == (5, "")


def test_history_is_told_from_the_top(store: Path, image: MadeImage) -> None:
    heading, first, second = output("history", "app:1", f"--store={store}").splitlines()
    assert heading.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert first.startswith(digest(image.config).removeprefix("sha256:")[:12])
    assert "layer 1" in first
    assert second.startswith("<missing>")
    assert "layer 0" in second
    exact = output("history", "--no-human", "--format", "{{.CreatedAt}} {{.Size}}", "app:1", f"--store={store}")
    assert exact.splitlines() == [f"2024-01-02T03:04:05.123457Z {len(layer)}" for layer in reversed(image.layers)]
    assert output("history", "-q", "app:1", f"--store={store}").splitlines()[1] == "<missing>"


def test_images_are_found_as_docker_finds_them(store: Path, image: MadeImage) -> None:
    other = make_image([{"z": b"z"}])
    put_in_store(store, {"app:latest": other})
    config = digest(image.config).removeprefix("sha256:")

    def found(text: str) -> str:
        return output("inspect", "-f", "{{.Id}}", text, f"--store={store}").strip()

    assert found("app") == digest(other.config)
    for text in (
        config,
        config[:12],
        f"sha256:{config}",
        f"app@{image.digest}",
        image.digest,
        "example.com/team/app:2",
    ):
        assert found(text) == digest(image.config), text


def test_an_unknown_image_names_the_nearest(store: Path, image: MadeImage) -> None:
    told = output("inspect", "ap:1", f"--store={store}", status=5)
    assert "there is no image ap:1" in told
    assert "did you mean app:1" in told
    assert "did you mean app:1" in output("inspect", "app:7", f"--store={store}", status=5)
    assert "lower case" in output("inspect", "App:1", f"--store={store}", status=5)


def test_a_start_of_several_ids_is_an_error_that_names_them(store: Path) -> None:
    starts: dict[str, MadeImage] = {}
    for number in range(40):  # of 17, two start with the same digit
        made = make_image([{"n": str(number).encode()}])
        start = digest(made.config).removeprefix("sha256:")[0]
        if start in starts:
            put_in_store(store, {"one:1": starts[start], "two:1": made})
            told = output("inspect", start, f"--store={store}", status=5)
            assert "several image IDs" in told
            assert "one:1" in told
            assert "two:1" in told
            return
        starts[start] = made
    raise AssertionError("no two images of 17 start alike")


def test_the_platform_chooses_among_images_of_a_name(store: Path) -> None:
    here, there = make_image(architecture="amd64"), make_image(architecture="s390x")
    put_in_store(store, {"app:1": here})
    put_in_store(store, {"app:1": there, "far:1": there})
    ask = ("inspect", "-f", "{{.Architecture}}", f"--store={store}")
    assert output(*ask, "app:1").strip() == "amd64"
    assert output(*ask, "--platform=linux/s390x", "app:1").strip() == "s390x"
    assert output(*ask, "far:1").strip() == "s390x"  # the only one there is
    assert "linux/amd64, linux/s390x" in output(*ask, "--platform=linux/arm64", "app:1", status=5)
    assert "PLATFORM" in output("images", f"--store={store}")


def test_an_image_without_a_name_is_found_by_the_id_that_was_printed(store: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nENV a=b\n")
    built = output("build", "-q", f"--store={store}", str(tmp_path)).strip()
    assert output("inspect", "-f", "{{.Id}} {{.RepoTags}}", built, f"--store={store}") == f"{built} []\n"
    assert output("images", "-q", f"--store={store}") == ""


def test_what_another_tool_put_into_the_layout_without_a_name_is_dangling(store: Path, image: MadeImage) -> None:
    index = json.loads((store / "index.json").read_text())
    index["manifests"] = [{**index["manifests"][0], "annotations": {}}]
    (store / "index.json").write_text(json.dumps(index))
    (row,) = output("images", f"--store={store}").splitlines()[1:]
    assert row.split()[:3] == ["<none>", "<none>", digest(image.config).removeprefix("sha256:")[:12]]
    assert output("images", "-f", "dangling=false", "-q", f"--store={store}") == ""
    assert output("images", "-f", "dangling=true", "-q", f"--store={store}") != ""
    assert output("images", "app", "-q", f"--store={store}") == ""
