"""Routing heads of 3D networks as bundles hold them: what they are made of, and how to make network and head anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

import torch
from torch import nn

from ..core.errors import BadInputError
from .heads.base import HeadInputs, Mode, RoutingHead, RoutingLogits
from .heads.dense import DenseHead, DenseSettings
from .heads.routed_net import RoutedNet, input_channels, last_layer
from .heads.stack import AgentLogits

KIND = "volume"
"""Of the head in bundle.json."""

LARGEST_ODDS = 9.0
"""Log-odds beyond this are not told apart."""

Answers = Literal["agents", "routing"]
"""agents: one logit for each agent, "is it right here?", from which the routing follows (mode `consistent` alone).
routing: the routing itself."""


@dataclass(frozen=True)
class ErrorFit:
    """P(the model is wrong) = sigmoid(bias + lead * lead + doubt * logit(doubt)).

    lead = max_j log p_j - log p_model; doubt is the head's own answer to "is the model wrong?" if it is asked that,
    else 1 - largest class probability. Fitted to validation voxels of the decision zone, since routing says by how much
    an agent is better than another, not how good it is. As it stands here it is the doubt itself.
    """

    bias: float = 0.0
    lead: float = 0.0
    doubt: float = 1.0

    def error(self, lead: torch.Tensor, doubt: torch.Tensor) -> torch.Tensor:
        """Probability of an error, float32 like `lead`; doubt : probability, see above."""
        odds = torch.logit(doubt.float(), eps=1e-4)
        return torch.sigmoid(self.bias + self.lead * lead.float() + self.doubt * odds)


@dataclass(frozen=True)
class VolumeHeadSettings:
    """What the head of a 3D network is made of.

    Attributes
    ----------
    experts : J. mode : of the routing. answers : see `Answers`.
    width, dilations, stride : see `DenseSettings`. layer : of the network that makes its logits; None to look it up.
    error : how the error probability follows from the routing.
    """

    experts: int
    mode: Mode = "consistent"
    answers: Answers = "agents"
    width: int = 16
    dilations: tuple[int, ...] = (1, 2)
    stride: int = 1
    layer: str | None = None
    error: ErrorFit = field(default_factory=ErrorFit)

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode) or self.answers not in get_args(Answers):
            raise ValueError(f"mode {self.mode!r} with answers {self.answers!r} is not known")
        if self.mode == "released" and self.answers == "agents":
            raise ValueError('mode "released" answers with the routing, not with one question for each agent')
        counts = (self.experts, self.width, self.stride, *self.dilations)
        if not self.dilations or not all(type(n) is int and 1 <= n <= 4096 for n in counts):
            raise ValueError("experts, width, stride and dilations of a head are whole numbers from 1 to 4096")

    def to_json(self) -> dict[str, Any]:
        """As plain values, for bundle.json."""
        return {**asdict(self), "dilations": list(self.dilations)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> VolumeHeadSettings:
        """From plain values; raises ValueError for what is unknown or does not fit.

        "trained_with", which says how the experts were made, is passed over.
        """
        known = {key: value for key, value in values.items() if key != "trained_with"}
        unknown = set(known) - {one.name for one in fields(cls)}
        if unknown:
            raise ValueError(f'settings of a head do not have "{min(unknown)}"')
        try:
            fit = ErrorFit(**{name: float(value) for name, value in dict(known.get("error", {})).items()})
            return cls(**{**known, "dilations": tuple(known.get("dilations", cls.dilations)), "error": fit})
        except (TypeError, ValueError) as error:
            raise ValueError(f"settings of a head are not right: {error}") from error


@dataclass(frozen=True)
class AgentRouting(RoutingLogits):
    """Routing that follows from agents' logits (B, J + 1, *S), which losses for single agents want to see."""

    agents: AgentLogits | None = None


class AgentsHead(RoutingHead):
    """A dense head whose J + 1 channels ask "is this agent right here?"; p_a in proportion to P(agent a is right).

        h_model = logit(largest class probability) + trained part,    h_j = trained part

    So the head starts with the network's own confidence, and learns where that is wrong: at first voxels are deferred
    in the order of the softmax margin, and every expert is right with probability one half.
    """

    mode: Mode = "consistent"

    def __init__(self, settings: DenseSettings) -> None:
        super().__init__()
        self.settings = settings
        self.experts = settings.experts
        self.dense = DenseHead(settings)
        bias = self.dense.coarse.bias
        assert bias is not None
        nn.init.zeros_(bias)

    def forward(self, inputs: HeadInputs) -> AgentRouting:
        """Route every voxel of the grid of the logits."""
        answer = self.dense(inputs)
        model = answer.defer + confidence_logit(inputs.logits)
        agents = AgentLogits(torch.cat([answer.experts, model.unsqueeze(1)], dim=1))
        routing = agents.routing()
        return AgentRouting(routing.mode, routing.experts, routing.defer, agents=agents)

    def reorder_experts(self, order: Sequence[int]) -> None:
        """Expert n of the answer becomes what expert order[n] was; the model stays what it is."""
        self.dense.reorder_experts(order)


def confidence_logit(logits: torch.Tensor) -> torch.Tensor:
    """Log-odds of the largest class probability, float32 (B, *S), limited to +-9, without a gradient.

    logits : (B, C, *S) with class 0 the background, or (B, 1, *S) foreground logit.
    """
    logits = logits.detach().float()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    largest, best = logits.max(dim=1, keepdim=True)
    others = torch.logsumexp(logits.scatter(1, best, -torch.inf), dim=1)
    return (largest[:, 0] - others).clamp(-LARGEST_ODDS, LARGEST_ODDS)


def make_routed(net: nn.Module, settings: VolumeHeadSettings, frozen: bool, source: str) -> RoutedNet:
    """A 3D network with a new head; BadInputError if the network has no layer to tap."""
    try:
        layer = settings.layer or last_layer(net)
        dense = DenseSettings(
            features=input_channels(net, layer),
            experts=settings.experts,
            axes=3,
            mode=settings.mode,
            width=settings.width,
            dilations=settings.dilations,
            stride=settings.stride,
        )
        head = AgentsHead(dense) if settings.answers == "agents" else DenseHead(dense)
        return RoutedNet(net, layer, head, frozen=frozen)
    except ValueError as error:
        raise BadInputError(f"no deferral head can be put on the network of {source}: {error}") from error


def read_head(head: Mapping[str, Any], source: str) -> VolumeHeadSettings:
    """The settings of a bundle's head; BadInputError unless it is of kind "volume" and complete."""
    if head.get("kind") != KIND:
        raise BadInputError(f'{source} has a deferral head of kind "{head.get("kind")}", expected "{KIND}"')
    try:
        settings = VolumeHeadSettings.from_json(head.get("settings", {}))
    except ValueError as error:
        raise BadInputError(f"the deferral head of {source} cannot be made: {error}") from error
    named = len(head.get("experts", ()))
    if settings.experts != named:
        raise BadInputError(f"the deferral head of {source} has {settings.experts} experts, but {named} are named")
    if settings.mode != head.get("mode"):
        raise BadInputError(f'the deferral head of {source} is of mode "{settings.mode}" and "{head.get("mode")}"')
    return settings
