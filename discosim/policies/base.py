"""What a policy is: a SimPy process that serves one request with the verbs of its session."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    from discosim.policies.view import View
    from discosim.world.batch.dispatch import Arriving, Coins, Dispatch
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Policy:
    """Base of every policy; a subclass is a dataclass whose fields are its options.

    One copy of the policy object serves a whole replication: ``prepare`` is called once, then ``serve`` once per
    request. State that ``prepare`` computes goes into fields declared with ``field(init=False)``: what a class holds is
    as it was when the next replication begins, and a class in a file of the user's is made anew from it each time.

    Attributes
    ----------
    kind : str
        Public name, used in configs.
    paper : str
        Citation and section, or "our choice" with the reason.
    departures : str
        Where the implementation differs from the paper, and why.
    needs : frozenset of str
        ``{"oracle"}`` asks for the true draws (``view.draws`` in ``prepare``); nobody else may see them.
    needs_edge : bool
        Whether it runs only where the scenario has an edge tier.
    needs_joint : bool
        Whether it runs only where the scenario says which models are right (`quality.kind: joint`).
    """

    kind: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    departures: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    needs_edge: ClassVar[bool] = False
    needs_joint: ClassVar[bool] = False

    def asks_for(self) -> Sequence[str]:
        """Return the endpoints that it asks for by names which not every scenario has, as far as its options say.

        A scenario that lacks one is refused before anything runs; a name that only `serve` knows, at the first request
        that asks for it.
        """
        return ()

    def prepare(self, view: View) -> None:
        """Learn from history before the first request; ``view`` holds estimates, never the future."""

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request; must show its whole answer or let it fail."""
        raise NotImplementedError(f"{type(self).__name__} lacks `serve`, the method that looks after one request")

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch | None:  # noqa: ARG002 - for those who can
        """Return what `serve` would do, for all requests beforehand; None where it cannot be told.

        A plan lets requests that nobody else can touch be worked out many at once. It has to say the same as `serve`,
        which is what defines the policy; it counts only in the class that states it, as a subclass may serve otherwise.
        Where the class is none of this package, a few dozen requests of the first replication are served as well, and a
        run whose plan contradicts them is refused.

        Parameters
        ----------
        view : View
            What `prepare` was given, and by now has used.
        requests : Arriving
            What is known of each request on arrival.
        coins : callable
            Gives each request's coin, as `Session.coin` does.
        """
        return None

    def tally(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, float]:  # noqa: ARG002 - for those who count
        """Return counts of the replication that this copy has served, to be summed over replications.

        Parameters
        ----------
        columns : mapping of str to array, shape (n,)
            What came of each request, as in requests.parquet.
        """
        return {}

    def remarks(self, tally: Mapping[str, float]) -> Sequence[str]:  # noqa: ARG002 - for those who have any
        """Return what a reader of the results must know, in whole sentences; ``tally`` is the sum of all tallies."""
        return ()
