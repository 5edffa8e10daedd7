"""silero-vad: spoken sentences between pauses, music-like tones and noise, streamed with the model's state.

espeak-ng speaks; its library lies in a pinned wheel for Linux on x86-64 and runs in a process of its own.
Labels are known by construction; what counts is whether decisions at 0.5 stay those of the float model.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import zoo
import zoo_wheels
from zoo_inputs import Arrays

from tasks import wheels, words
from tasks.sentences import texts_of
from tasks.task import CALIBRATION, EVALUATION, Array, Figures, Run, Task, share

RATE, HALF_RATE = 16000, 8000
"""Samples a second: the model has a branch for each."""
FRAME_SECONDS, CONTEXT_SECONDS = 0.032, 0.004
"""Of a frame, and of the end of the one before that the model sees again."""
SPEECH_THRESHOLD = 0.5
QUIET = 0.02
"""Share of a voice's peak below which a frame holds no speech to be found."""
VOICES = (
    "en-us",
    "en-gb-x-rp",
    "en-us+f3",
    "en-gb-scotland+m3",
    "en-gb-x-gbclan+f4",
    "en-us+m7",
    "en-us+f2",
    "en-gb-x-rp+m5",
)
CALIBRATION_VOICES = 4
SENTENCES_IN_STREAM = 5


class Speech(Task[Array, Array]):
    """A frame is one run. A stream starts from a zero state; its answer is a probability a frame."""

    name = "silero-vad"
    calibration_size = 100
    headline = "decisions"
    metric = "top-1"
    floor = 99.0
    recurrent = True

    def samples(self) -> Iterator[Arrays]:
        """Frames in mid-stream, every third one, with the float model's own states."""
        texts = texts_of(words.CALIBRATION)
        for number in itertools.count():
            rng = np.random.default_rng([CALIBRATION, 7, number])
            chosen = [str(text) for text in rng.choice(texts, SENTENCES_IN_STREAM)]
            signal, _ = stream(rng, chosen, VOICES[number % CALIBRATION_VOICES])
            rate = HALF_RATE if number % 3 == 2 else RATE
            heard = resampled(signal, RATE, rate)
            for inputs, _ in itertools.islice(frames(self.float_run, heard, rate), 0, None, 3):
                yield inputs

    def evaluation(self) -> Iterator[tuple[Arrays, Array]]:
        """Whole streams, `signal` float32 [samples] at `rate`; for each frame whether somebody speaks."""
        texts = texts_of(words.EVALUATION)
        for number, voice in enumerate(VOICES):
            rng = np.random.default_rng([EVALUATION, 7, number])
            chosen = texts[number * SENTENCES_IN_STREAM : (number + 1) * SENTENCES_IN_STREAM]
            signal, labels = stream(rng, chosen, voice)
            rate = HALF_RATE if number % 3 == 2 else RATE
            yield {"signal": resampled(signal, RATE, rate), "rate": np.array(rate)}, labels

    def answer(self, run: Run, inputs: Arrays) -> Array:
        heard = frames(run, inputs["signal"], int(inputs["rate"]))
        return np.array([probability for _, probability in heard])

    def figures(self, labels: Sequence[Array], expected: Sequence[Array], actual: Sequence[Array]) -> Figures:
        spoken, theirs, ours = (np.concatenate(parts) for parts in (labels, expected, actual))
        return {
            "decisions": share((ours > SPEECH_THRESHOLD) == (theirs > SPEECH_THRESHOLD)),
            "accuracy": share((ours > SPEECH_THRESHOLD) == spoken),
            "largest difference": float(np.abs(ours - theirs).max()),
            "frames": float(len(ours)),
        }


def frames(run: Run, signal: Array, rate: int) -> Iterator[tuple[Arrays, float]]:
    """The inputs of each frame and the speech probability, the state carried from frame to frame."""
    frame, context = int(FRAME_SECONDS * rate), int(CONTEXT_SECONDS * rate)
    state = np.zeros((2, 1, 128), dtype=np.float32)
    padded = np.concatenate([np.zeros(context, dtype=np.float32), signal])
    for start in range(0, len(signal) - frame + 1, frame):
        window = padded[start : start + context + frame][None]
        inputs = {"input": window, "state": state, "sr": np.array(rate, dtype=np.int64)}
        probability, state = run(inputs)
        yield inputs, float(probability[0, 0])


def stream(rng: np.random.Generator, texts: Sequence[str], voice: str) -> tuple[Array, Array]:
    """Sentences between other sounds, in noise: PCM float32 at 16 kHz, and which frames are speech."""
    parts = [other_sound(rng)]
    spoken = [np.zeros(len(parts[0]), dtype=bool)]
    for text in texts:
        said = say(text, voice, int(rng.integers(130, 220)), int(rng.integers(30, 70)))
        level = rng.uniform(0.1, 0.6)
        parts += [level * said, other_sound(rng)]
        spoken += [envelope(said) > QUIET, np.zeros(len(parts[-1]), dtype=bool)]
    signal, active = np.concatenate(parts), np.concatenate(spoken)
    signal = signal + rng.uniform(0.0005, 0.01) * rng.standard_normal(len(signal))
    frame = int(FRAME_SECONDS * RATE)
    whole = len(signal) // frame * frame
    labels = active[:whole].reshape(-1, frame).mean(axis=1) > 0.5
    return np.clip(signal[:whole], -1.0, 1.0).astype(np.float32), labels


def other_sound(rng: np.random.Generator) -> Array:
    """Half a second to two seconds without speech: silence, hum, a chord, clicks or a burst of noise."""
    samples = int(RATE * rng.uniform(0.5, 2.0))
    seconds = np.arange(samples) / RATE
    kind = rng.integers(0, 5)
    if kind == 0:
        return np.zeros(samples)
    if kind == 1:
        hum: Array = 0.05 * np.sin(2 * np.pi * 50 * seconds) + 0.02 * np.sin(2 * np.pi * 150 * seconds)
        return hum
    if kind == 2:
        notes = rng.choice([220.0, 261.6, 329.6, 392.0, 523.3], 3, replace=False)
        chord: Array = 0.06 * np.sin(2 * np.pi * notes[:, None] * seconds).sum(axis=0)
        return chord * np.exp(-2.0 * seconds)
    if kind == 3:
        clicks = np.zeros(samples)
        clicks[rng.integers(0, samples, 8)] = rng.uniform(-0.5, 0.5, 8)
        return clicks
    burst: Array = rng.uniform(0.01, 0.08) * rng.standard_normal(samples)
    return burst * np.hanning(samples)


def envelope(signal: Array) -> Array:
    """Loudness over 60 ms as a share of the largest, one value a sample."""
    kernel = np.ones(int(0.06 * RATE)) / int(0.06 * RATE)
    power = np.convolve(signal.astype(np.float64) ** 2, kernel, mode="same")
    loudness: Array = np.sqrt(np.maximum(power, 0.0) / max(power.max(), 1e-12))
    return loudness


def say(text: str, voice: str, words_per_minute: int, pitch: int) -> Array:
    """The sentence spoken by espeak-ng: float64 PCM in [-1, 1] at 16 kHz, pauses at the ends cut off."""
    folder = zoo.cache() / "espeak-ng"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            zoo_wheels.extract_all(wheels.path(wheels.SPEECH), Path(scratch, "complete"))
            Path(scratch, "complete").rename(folder)
    script = Path(__file__).with_name("speak.py")
    command = [sys.executable, str(script), str(folder / "espeakng_loader"), voice]
    done = subprocess.run(
        [*command, str(words_per_minute), str(pitch), text], capture_output=True, check=False
    )
    if done.returncode != 0:
        raise zoo_wheels.ZooError(f"espeak-ng could not speak:\n{done.stderr.decode().strip()}")
    rate = int.from_bytes(done.stdout[:4], "little")
    pcm = np.frombuffer(done.stdout[4:], dtype="<i2").astype(np.float64) / 32768
    return trimmed(resampled(pcm, rate, RATE))


def resampled(pcm: Array, rate: int, wanted: int) -> Array:
    """PCM of the same type at a lower rate, after a low pass that keeps what the lower one can hold."""
    if wanted == rate:
        return pcm
    taps = np.arange(-32, 33)
    cutoff = 0.9 * wanted / rate
    low_pass = cutoff * np.sinc(cutoff * taps) * np.hamming(len(taps))
    smooth = np.convolve(pcm, low_pass, mode="same")
    moments = np.arange(int(len(pcm) * wanted / rate)) * rate / wanted
    return np.interp(moments, np.arange(len(pcm)), smooth).astype(pcm.dtype)


def trimmed(signal: Array) -> Array:
    """Without the silence before the first and after the last sound."""
    loud = np.flatnonzero(envelope(signal) > QUIET)
    return signal[loud[0] : loud[-1] + 1] if len(loud) else signal
