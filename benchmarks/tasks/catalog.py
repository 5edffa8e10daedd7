"""The tasks by the name of their model."""

from __future__ import annotations

from typing import Any

from tasks.captcha import Captcha
from tasks.detection import Detection
from tasks.digits import Digits
from tasks.direction import Direction
from tasks.filetypes import FileTypes
from tasks.photographs import Photographs
from tasks.recognition import Recognition
from tasks.sentences import Sentences
from tasks.speech import Speech
from tasks.task import Task

TASKS: dict[str, type[Task[Any, Any]]] = {
    task.name: task
    for task in (
        Detection,
        Recognition,
        Direction,
        Captcha,
        FileTypes,
        Speech,
        Photographs,
        Sentences,
        Digits,
    )
}
