"""The arithmetic of the tasks, and that their data are what they say; nothing here is downloaded."""

from __future__ import annotations

import importlib
import io
import itertools
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from graphopt.quant.metrics import METRICS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    return importlib.import_module(f"tasks.{name}")


@pytest.fixture
def built_in_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """PIL's own font in place of those that lie in a wheel."""
    monkeypatch.setattr(module("drawing"), "load_font", lambda _, size: ImageFont.load_default(size))


# Texts


@pytest.mark.parametrize(
    ("steps", "text"),
    [([1, 1, 2], "ab"), ([1, 0, 1], "aa"), ([0, 1, 1, 0, 0, 2, 2], "ab"), ([0, 0], ""), ([3], "c")],
)
def test_greedy_decoding_merges_repeats_then_drops_blanks(steps: list[int], text: str) -> None:
    assert module("ctc").greedy(np.eye(4)[steps], ["", "a", "b", "c"]) == text


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("kitten", "sitting", 3),
        ("abc", "", 3),
        ("", "ab", 2),
        ("ab", "ba", 2),
    ],
)
def test_edit_distance_is_levenshteins(a: str, b: str, distance: int) -> None:
    assert module("ctc").edit_distance(a, b) == module("ctc").edit_distance(b, a) == distance


def test_text_figures_count_lines_and_characters() -> None:
    figures = module("ctc").text_figures(["abcd", "wxyz"], ["abcd", "wxy"], ["abcd", "wxya"])
    assert figures == {"exact": 50.0, "characters": 87.5, "agreement": 50.0}


def test_a_wrong_text_loses_no_more_characters_than_it_has() -> None:
    assert module("ctc").text_figures(["ab"], ["ab"], ["something long"])["characters"] == 0.0


# Boxes


def test_components_join_diagonals_and_arms_that_meet_below() -> None:
    mask = np.array(
        [
            [1, 0, 1, 0, 0, 1],
            [1, 0, 1, 0, 0, 0],
            [1, 1, 1, 0, 1, 1],
            [0, 0, 0, 0, 0, 0],
            [0, 1, 0, 0, 0, 1],
            [0, 0, 1, 0, 0, 1],
        ]
    )
    parts = module("boxes").components(mask == 1)
    sizes = sorted(int((runs[:, 2] - runs[:, 1]).sum()) for runs in parts)
    assert sizes == [1, 2, 2, 2, 7]


def test_components_of_nothing_and_of_everything() -> None:
    boxes = module("boxes")
    assert boxes.components(np.zeros((3, 4), dtype=bool)) == []
    (whole,) = boxes.components(np.ones((3, 4), dtype=bool))
    assert whole.tolist() == [[0, 0, 4], [1, 0, 4], [2, 0, 4]]


def test_boxes_are_grown_by_area_over_perimeter_and_doubtful_ones_dropped() -> None:
    probability = np.zeros((64, 128), dtype=np.float32)
    probability[20:30, 30:70] = 0.9
    probability[50:60, 30:70] = 0.4
    probability[10:12, 100:110] = 0.9
    (box,) = module("boxes").from_probability(probability)
    by = 40 * 10 * 1.6 / 100
    assert box == pytest.approx((30 - by, 20 - by, 70 + by, 30 + by))


def test_a_grown_box_stays_on_the_page() -> None:
    assert module("boxes").unclip((0.0, 0.0, 50.0, 20.0), (20, 50)) == (0, 0, 50, 20)


@pytest.mark.parametrize(
    ("other", "value"),
    [((0, 0, 4, 4), 1.0), ((2, 0, 6, 4), 1 / 3), ((4, 0, 8, 4), 0.0), ((1, 1, 3, 3), 0.25)],
)
def test_iou(other: tuple[float, ...], value: float) -> None:
    assert module("boxes").iou((0, 0, 4, 4), other) == pytest.approx(value)
    assert module("boxes").iou(other, (0, 0, 4, 4)) == pytest.approx(value)


def test_each_found_box_is_matched_once() -> None:
    expected, found = [(0, 0, 4, 4), (2, 0, 6, 4)], [(0, 0, 4, 4)]
    assert module("boxes").best_overlaps(expected, found) == [1.0, 0.0]
    assert module("boxes").best_overlaps(expected, []) == [0.0, 0.0]


def test_detection_counts_what_is_found_and_what_is_not_there() -> None:
    page = np.zeros((64, 64), dtype=np.float32)
    page[10:20, 10:50] = 0.9
    by = 40 * 10 * 1.6 / 100
    there, elsewhere = (10 - by, 10 - by, 50 + by, 20 + by), (10, 40, 50, 50)
    task = module("detection").Detection()
    perfect = task.figures([[there]], [page], [page])
    assert perfect == {"f1": 100, "recall": 100, "precision": 100, "iou": 100, "equal pixels": 100}
    half = task.figures([[there, elsewhere]], [np.zeros_like(page)], [page])
    assert (half["recall"], half["precision"]) == (50, 100)
    assert half["equal pixels"] == pytest.approx(100 * (1 - 400 / 64**2))


# Ranks


def test_spearman_is_of_ranks_and_shares_those_of_equals() -> None:
    ranks = module("ranks")
    assert ranks.ranks([30.0, 10.0, 30.0, 20.0]).tolist() == [2.5, 0.0, 2.5, 1.0]
    assert ranks.spearman([1.0, 2.0, 3.0], [1.0, 10.0, 100.0]) == pytest.approx(1.0)
    assert ranks.spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)


# What is drawn, said and made


def test_calibration_and_evaluation_share_nothing() -> None:
    words, photographs, sentences = module("words"), module("photographs"), module("sentences")
    assert not set(words.CALIBRATION_WORDS) & set(words.EVALUATION_WORDS)
    texts = [sentences.texts_of(half) for half in (words.CALIBRATION, words.EVALUATION)]
    assert not set(texts[0]) & set(texts[1])
    assert all(len(set(half)) == len(half) for half in texts)
    judged = set(photographs.EVALUATION_PHOTOS.values())
    for photos in (photographs.CALIBRATION_PHOTOS, photographs.MORE_PHOTOS):
        assert not set(photos.values()) & judged
    assert set(photographs.CALIBRATION_PHOTOS.items()) < set(photographs.MORE_PHOTOS.items())
    found = [module("filetypes").found_files(half) for half in (0, 1)]
    assert {"python", "pythonbytecode"} <= set(found[0])
    assert not any(set(found[0][label]) & set(found[1][label]) for label in found[0])


def test_phrases_come_from_the_words_and_vary() -> None:
    rng = np.random.default_rng(0)
    phrases = [module("phrases").phrase(rng, ["apple", "pear", "plum", "fig"]) for _ in range(200)]
    assert len(set(phrases)) > 100
    assert any(text.isupper() for text in phrases)
    assert any("$" in text for text in phrases)
    letters = [text for text in phrases if text.replace(" ", "").isalpha()]
    assert {word.lower() for text in letters for word in text.split()} == {"apple", "pear", "plum", "fig"}


@pytest.mark.usefixtures("built_in_font")
def test_a_drawn_line_is_fixed_by_the_seed_and_shows_ink() -> None:
    drawing = module("drawing")
    first, again = (drawing.line(np.random.default_rng(3), "Harbour 42", ["any"]) for _ in range(2))
    other = drawing.line(np.random.default_rng(4), "Harbour 42", ["any"])
    assert np.array_equal(first, again)
    assert first.size != other.size or not np.array_equal(first, other)
    assert first.mode == "RGB"
    assert first.width > 3 * first.height
    assert np.ptp(np.asarray(first.convert("L")).astype(int)) > 60


@pytest.mark.usefixtures("built_in_font")
def test_boxes_of_a_page_hold_its_ink_and_keep_apart() -> None:
    detection, boxes = module("detection"), module("boxes")
    page = detection.draw_page(
        np.random.default_rng(1), (320, 416), ["apple", "pear", "plum", "fig"], ["any"]
    )
    assert page.image.size == (416, 320)
    assert len(page.boxes) >= 3
    assert not any(boxes.touching(a, b, 8) for a, b in itertools.combinations(page.boxes, 2))
    grey = np.asarray(page.image.convert("L")).astype(float)
    ground = np.median(grey)
    for left, top, right, bottom in page.boxes:
        inside = grey[int(top) : int(bottom), int(left) : int(right)]
        assert np.abs(inside - ground).max() > 50


@pytest.mark.usefixtures("built_in_font")
def test_captchas_are_of_the_alphabet_and_keep_their_letters_inside() -> None:
    captcha = module("captcha")
    rng = np.random.default_rng(0)
    text = captcha.code(rng)
    assert 4 <= len(text) <= 6
    assert set(text) <= set(captcha.ALPHABET)
    features = captcha.features(captcha.draw(rng, text, ["any"]))
    assert (features.dtype, features.shape[:3]) == (np.float32, (1, 1, 64))
    assert 0.0 <= features.min() < 0.7 < features.max() <= 1.0


def test_lines_are_padded_to_the_width_of_the_model_and_not_squeezed() -> None:
    recognition, direction = module("recognition"), module("direction")
    short, long = (Image.new("RGB", (width, 24), "white") for width in (60, 300))
    assert recognition.features(short).shape == (1, 3, 48, 320)
    assert recognition.features(long).shape == (1, 3, 48, 600)
    assert recognition.features(short)[0, 0, 0].tolist() == [1.0] * 120 + [0.0] * 200
    assert direction.features(long, turned=False).shape == (1, 3, 48, 192)
    assert direction.features(long, turned=False).min() == 1.0


def test_a_turned_line_is_upside_down() -> None:
    image = Image.fromarray(np.arange(48 * 192 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 192, 3))
    upright, turned = (module("direction").features(image, turned=turn) for turn in (False, True))
    assert np.array_equal(upright[0, :, ::-1, ::-1], turned[0])


MAGIC = {
    "zip": b"PK",
    "gzip": b"\x1f\x8b",
    "png": b"\x89PNG",
    "sqlite": b"SQLite",
    "wav": b"RIFF",
    "npy": b"\x93N",
}


@pytest.mark.parametrize("kind", ["binary_files", "text_files"])
def test_files_are_fixed_by_the_seed_and_differ_by_it(kind: str) -> None:
    for label, make in module(kind).MADE.items():
        first, again, other = (
            make(np.random.default_rng(seed), ["oak", "elm", "ash"] * 4) for seed in (1, 1, 2)
        )
        assert first == again, label
        assert first != other, label
        assert first.startswith(MAGIC.get(label, b""))
        assert len(first) > 100, label


def test_archives_and_data_can_be_read_back() -> None:
    rng, words = np.random.default_rng(0), ["oak", "elm", "ash"] * 4
    binary, text = module("binary_files").MADE, module("text_files").MADE
    assert zipfile.ZipFile(io.BytesIO(binary["zip"](rng, words))).testzip() is None
    assert "word/document.xml" in zipfile.ZipFile(io.BytesIO(binary["docx"](rng, words))).namelist()
    with tarfile.open(fileobj=io.BytesIO(binary["tar"](rng, words))) as archive:
        assert archive.getnames()
    assert len(np.load(io.BytesIO(binary["npz"](rng, words)))) == 3
    assert isinstance(json.loads(text["json"](rng, words)), list)
    assert all(json.loads(line) for line in text["jsonl"](rng, words).splitlines())


@pytest.mark.parametrize(("rate", "frame", "context"), [(16000, 512, 64), (8000, 256, 32)])
def test_frames_carry_state_and_the_end_of_the_frame_before(rate: int, frame: int, context: int) -> None:
    speech = module("speech")
    seen = []

    def run(inputs: dict[str, Any]) -> list[Any]:
        seen.append(inputs["input"][0].copy())
        return [np.full((1, 1), inputs["state"].flat[0]), inputs["state"] + 1]

    signal = np.arange(3 * frame + 5, dtype=np.float32)
    probabilities = [probability for _, probability in speech.frames(run, signal, rate)]
    assert probabilities == [0, 1, 2]
    assert seen[0][:context].tolist() == [0.0] * context
    assert np.array_equal(seen[1], signal[frame - context : 2 * frame])


def test_a_stream_labels_what_is_said_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    speech = module("speech")
    tone = np.sin(2 * np.pi * 200 * np.arange(speech.RATE) / speech.RATE)
    monkeypatch.setattr(speech, "say", lambda *_: tone)
    signal, labels = speech.stream(np.random.default_rng(0), ["one", "two"], "any")
    assert len(signal) == len(labels) * 512
    assert np.abs(signal).max() <= 1
    assert labels.sum() == pytest.approx(2 * speech.RATE / 512, abs=3)
    assert np.count_nonzero(np.diff(labels.astype(int)) == 1) == 2


def test_resampling_keeps_a_tone_and_trimming_cuts_silence() -> None:
    speech = module("speech")
    tone = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    resampled = speech.resampled(tone, 22050, speech.RATE)
    assert len(resampled) == speech.RATE
    assert np.abs(np.fft.rfft(resampled)).argmax() == 440
    padded = np.concatenate([np.zeros(8000), tone, np.zeros(8000)])
    assert len(speech.trimmed(padded)) == pytest.approx(len(tone), abs=0.1 * speech.RATE)


def test_speech_figures_compare_decisions() -> None:
    labels, expected = np.array([True, False, True]), np.array([0.9, 0.2, 0.6])
    figures = module("speech").Speech().figures([labels], [expected], [np.array([0.8, 0.3, 0.4])])
    assert figures["decisions"] == figures["accuracy"] == pytest.approx(200 / 3)
    assert figures["largest difference"] == pytest.approx(0.2)


def test_crops_are_squares_of_the_photograph() -> None:
    photographs = module("photographs")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    features = photographs.features(photographs.crop(np.random.default_rng(1), picture))
    assert (features.shape, features.dtype) == ((1, 3, 224, 224), np.float32)


def test_photographs_are_judged_by_the_float_models_first_class() -> None:
    expected = [np.array([3.0, 1.0, 0.0, 0, 0, 0]), np.array([1.0, 1.2, 0.0, 0, 0, 0])]
    actual = [np.array([2.0, 1.0, 0.0, 0, 0, 0]), np.array([1.2, 1.0, 0.0, 0, 0, 0])]
    figures = module("photographs").Photographs().figures(["a", "b"], expected, actual)
    assert figures["agreement"] == 50
    assert figures["agreement where float is sure"] == 100
    assert figures["in first five"] == 100


def test_pairs_are_graded_by_construction() -> None:
    sentences, words = module("sentences"), module("words")
    pairs, grades = sentences.graded(words.EVALUATION[:2])
    first, second = words.EVALUATION[:2]
    assert pairs[:3] == [
        (first.sentence, first.paraphrase),
        (first.sentence, first.related),
        (first.sentence, second.sentence),
    ]
    assert grades == [2.0, 1.0, 0.0] * 2


# Scoring, naive schemes, tables


def test_the_demos_network_reads_its_digits() -> None:
    digits = module("digits").Digits()
    figures = digits.score(module("task").open_run(digits.path()))
    assert figures["accuracy"] >= 97
    assert figures["agreement"] == 100


def test_a_naive_scheme_writes_a_model_that_is_scored(tmp_path: Path) -> None:
    digits = module("digits").Digits()
    samples = [inputs for inputs, _ in itertools.islice(digits.evaluation(), 10)]
    target = tmp_path / "quantized.onnx"
    assert module("naive").NAIVE["naive-u8s8"](digits.path(), target, samples) == ""
    assert target.stat().st_size < digits.path().stat().st_size
    assert digits.score(module("task").open_run(target))["agreement"] > 90


def test_every_task_is_complete() -> None:
    for name, task in module("catalog").TASKS.items():
        assert task.name == name
        assert task.headline
        assert task.metric in METRICS
        assert task.floor is None or task.allowance == 0
        assert 30 <= task.calibration_size <= 100


def test_wheels_are_pinned_by_hash_and_admitted_by_their_tags() -> None:
    wheels = module("wheels")
    for wheel in (wheels.FONTS, wheels.PHOTOS, wheels.SAMPLES, wheels.ANIMALS, wheels.QUOKKA, wheels.SPEECH):
        assert len(bytes.fromhex(wheel.sha256)) == 32
        assert wheel.filename.startswith(f"{wheel.project.replace('-', '_')}-{wheel.version}-")
    assert wheels.QUOKKA.tags() == ["--platform", "any"]
    assert wheels.FONTS.tags()[-6:] == ["--implementation", "cp", "--python-version", "311", "--abi", "cp311"]


@pytest.mark.parametrize(
    ("scheme", "parts"),
    [
        ("graphopt", (None, None, None)),
        ("graphopt:weight-int4", ("weight-int4", None, None)),
        ("graphopt:int8@portable/0.01", ("int8", "portable", "0.01")),
        ("graphopt@openvino", (None, "openvino", None)),
    ],
)
def test_schemes_of_graphopt_are_read(scheme: str, parts: tuple[str | None, ...]) -> None:
    asked = module("worker").SCHEME.fullmatch(scheme)
    assert (asked["kind"], asked["target"], asked["drop"]) == parts


def record(**figures: float) -> dict[str, Any]:
    return {"figures": figures, "size": 0.26, "latency": {"1": {"median": 0.5}, "2": {"median": 0.75}}}


def test_the_table_says_whether_the_bound_holds() -> None:
    schemes = {
        "float": record(exact=96.0),
        "naive": {"fails": "it | broke"},
        "near": {**record(exact=95.0), "note": "by chance"},
        "far": record(exact=94.5),
    }
    text = module("table").render(
        {"rec": {"headline": "exact", "allowance": 1, "floor": None, "schemes": schemes}}
    )
    assert "| rec | near | exact | 95 | 95 | yes | 0.260 | 0.50 | 0.75 |" in text
    assert "| rec | far | exact | 94.5 | 95 | no |" in text
    assert "| rec | naive | exact | fails |" in text
    assert "| rec | naive | it / broke |" in text
    assert "| rec | near | exact 95 (by chance) |" in text


def test_a_model_that_is_there_is_not_made_again(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def judge(name: str, scheme: str, file: Path) -> dict[str, Any]:
        made.append(scheme)
        return {"figures": {"accuracy": 98.0}, "size": 0.5}

    monkeypatch.setattr(run, "judge", judge)
    for reuse, schemes in (
        (False, ["float"]),
        (True, ["float", "graphopt@portable/0.01"]),
        (False, ["float"]),
    ):
        result = run.compare("digits", schemes, tmp_path, reuse=reuse, latency=False)
        assert list(result["schemes"]) == schemes
    assert made == ["float", "graphopt@portable/0.01", "float"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    runner = module("run")
    monkeypatch.setattr(runner, "HERE", tmp_path)
    yield runner


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("print('a warning'); print('{\"exact\": 1.0}')", {"exact": 1.0}),
        ("raise SystemExit('no such model')", {"fails": "no such model"}),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {"fails": "killed by signal 9"}),
    ],
)
def test_a_step_that_fails_is_reported(run: Any, tmp_path: Path, script: str, answer: dict[str, Any]) -> None:
    (tmp_path / "worker.py").write_text(script)
    assert run.work("score") == answer


def test_calibration_data_are_written_an_array_an_input(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Few(module("task").Task):  # type: ignore[misc]
        calibration_size = 3

        def samples(self) -> Iterator[dict[str, Any]]:
            return ({"a": np.full(2, number), "b": np.array(number)} for number in itertools.count())

        evaluation = answer = figures = None

    monkeypatch.setitem(run.TASKS, "few", Few)
    run.write_calibration("few", tmp_path)
    files = sorted((tmp_path / "few").iterdir())
    assert [file.name for file in files] == ["0000.npz", "0001.npz", "0002.npz"]
    with np.load(files[2]) as arrays:
        assert {name: arrays[name].tolist() for name in arrays} == {"a": [2, 2], "b": 2}
