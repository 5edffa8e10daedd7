"""Speaks one sentence: `python speak.py FOLDER VOICE WORDS_PER_MINUTE PITCH TEXT > rate and PCM`.

A process of its own, because espeak-ng's library keeps state from one sentence to the next. It writes the
rate as four bytes, little end first, then samples of 16 bits.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARACTERS_UTF8 = 1
SEED = 1
POSITION_CHARACTER = 1
PARAMETER_RATE, PARAMETER_PITCH = 1, 3
SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def speak(folder: Path, voice: str, words_per_minute: int, pitch: int, text: str) -> tuple[int, bytes]:
    """Samples per second, and the samples."""
    library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
    chunks: list[bytes] = []

    def receive(samples: int | None, count: int, _: int | None) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, str(folder).encode(), 0)
    if rate <= 0:
        raise SystemExit(f"espeak_Initialize failed with {rate}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))  # of the breath in some voices
    callback = SYNTH_CALLBACK(receive)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise SystemExit(f"espeak-ng has no voice {voice}")
    library.espeak_SetParameter(PARAMETER_RATE, words_per_minute, 0)
    library.espeak_SetParameter(PARAMETER_PITCH, pitch, 0)
    spoken = text.encode() + b"\0"
    library.espeak_Synth(
        spoken, ctypes.c_size_t(len(spoken)), 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None
    )
    library.espeak_Synchronize()
    return int(rate), b"".join(chunks)


if __name__ == "__main__":
    found, pcm = speak(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    sys.stdout.buffer.write(found.to_bytes(4, "little") + pcm)
