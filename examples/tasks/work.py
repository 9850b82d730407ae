"""What a worker runs: rpcgen worker work:Handlers --stub jobs. It is what a server would offer, too."""

import os
import time

from jobs import Rendered, UnknownFilm

FILMS = ("Metropolis", "Nosferatu", "Sunrise")


class Handlers:
    """One method for each of the interface, with its types."""

    def render(self, film: str, frames: int) -> Rendered:
        if film not in FILMS:
            raise UnknownFilm(f"{film}; there are: {', '.join(FILMS)}")
        for frame in range(1, frames + 1):
            time.sleep(0.1)
            if frame % 10 == 0:
                print(f"process {os.getpid()}: {film}, {frame} of {frames} frames", flush=True)
        return Rendered(film, frames, os.getpid())
