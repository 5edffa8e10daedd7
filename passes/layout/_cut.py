"""Minimum cut of a small directed graph, by Dinic's algorithm (Dinic 1970). Knows nothing of models."""

from __future__ import annotations

INFINITE = 1 << 60


class Network:
    """A graph of arcs with capacities; vertices are numbers, 0 the source and 1 the sink."""

    SOURCE = 0
    SINK = 1

    def __init__(self) -> None:
        self._arcs: list[list[int]] = [[], []]
        self._to: list[int] = []
        self._left: list[int] = []

    def vertex(self) -> int:
        """A new vertex."""
        self._arcs.append([])
        return len(self._arcs) - 1

    def arc(self, start: int, end: int, capacity: int) -> None:
        """An arc; it is cut, and costs its capacity, where `start` is on the source's side and `end` not."""
        for tail, head, size in ((start, end, capacity), (end, start, 0)):
            self._arcs[tail].append(len(self._to))
            self._to.append(head)
            self._left.append(size)

    def source_side(self) -> set[int]:
        """The smallest set of vertices on the source's side of a minimum cut."""
        while True:
            levels = self._levels()
            if levels[self.SINK] < 0:
                return {vertex for vertex, level in enumerate(levels) if level >= 0}
            self._fill(levels)

    def _levels(self) -> list[int]:
        levels = [-1] * len(self._arcs)
        levels[self.SOURCE] = 0
        front = [self.SOURCE]
        while front:
            following = []
            for vertex in front:
                for arc in self._arcs[vertex]:
                    head = self._to[arc]
                    if self._left[arc] and levels[head] < 0:
                        levels[head] = levels[vertex] + 1
                        following.append(head)
            front = following
        return levels

    def _fill(self, levels: list[int]) -> None:
        """Push flow along shortest paths until each is full."""
        tried = [0] * len(self._arcs)
        path: list[int] = []
        vertex = self.SOURCE
        while True:
            if vertex == self.SINK:
                least = min(self._left[arc] for arc in path)
                first = len(path)
                for index in reversed(range(len(path))):
                    self._left[path[index]] -= least
                    self._left[path[index] ^ 1] += least
                    if not self._left[path[index]]:
                        first = index
                vertex = self._to[path[first] ^ 1]
                del path[first:]
            while tried[vertex] < len(self._arcs[vertex]):
                arc = self._arcs[vertex][tried[vertex]]
                if self._left[arc] and levels[self._to[arc]] == levels[vertex] + 1:
                    break
                tried[vertex] += 1
            else:
                if not path:
                    return
                vertex = self._to[path.pop() ^ 1]
                tried[vertex] += 1
                continue
            path.append(arc)
            vertex = self._to[arc]
