"""Routing heads on SAM-type mask decoders: masks stay, experts permute, inputs come from what the pipeline has."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.engine.box_segmentor import BoxSegmentor
from DeferredSegSlicerLib.engine.heads import (
    ConsistentSamHead,
    DenseSettings,
    HeadInputs,
    ReleasedSamHead,
    RoutingHead,
    SamDecoded,
    SamTokenDecoder,
)
from DeferredSegSlicerLib.engine.heads.canvas import canvas_of, sam_inputs
from DeferredSegSlicerLib.engine.sam_decoder import make_mask_decoder
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.transformer import Attention

SIZE = 32
"""Channels of the small decoder's tokens."""


@pytest.fixture(autouse=True)
def a_single_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def a_small_decoder() -> MaskDecoder:
    transformer = TwoWayTransformer(depth=2, embedding_dim=SIZE, mlp_dim=48, num_heads=4)
    return MaskDecoder(
        transformer_dim=SIZE, transformer=transformer, num_multimask_outputs=3, iou_head_hidden_dim=16
    ).eval()


@pytest.fixture
def prompts() -> dict[str, torch.Tensor]:
    return {
        "image": torch.randn(1, SIZE, 6, 6),
        "position": torch.randn(1, SIZE, 6, 6),
        "sparse": torch.randn(2, 2, SIZE),
        "dense": torch.randn(2, SIZE, 6, 6),
    }


def plain(decoder: MaskDecoder, prompts: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return decoder(
        image_embeddings=prompts["image"],
        image_pe=prompts["position"],
        sparse_prompt_embeddings=prompts["sparse"],
        dense_prompt_embeddings=prompts["dense"],
        multimask_output=False,
    )


def inputs_of(decoded: SamDecoded, prompts: dict[str, torch.Tensor]) -> HeadInputs:
    count, _, height, width = decoded.logits.shape
    return HeadInputs(
        logits=decoded.logits,
        features=decoded.features,
        image=torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(1)),
        boxes=torch.tensor([[3.0, 4.0, 15.0, 18.0]]).expand(count, -1),
        tokens=decoded.tokens,
        embedding=prompts["image"].expand(count, -1, -1, -1),
    )


def make_head(mode: str, experts: int = 3) -> RoutingHead:
    if mode == "released":
        return ReleasedSamHead(experts, token_size=SIZE, features=SIZE // 8)
    settings = DenseSettings(features=SIZE // 8, experts=experts, box=True, width=8, dilations=(1, 2))
    return ConsistentSamHead(settings, token_size=SIZE)


def test_isolated_tokens_leave_masks_and_qualities_as_they_were(
    a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]
) -> None:
    masks, iou = plain(a_small_decoder, prompts)
    decoder = SamTokenDecoder(a_small_decoder, experts=3)
    decoded = decoder(**prompts)
    assert torch.allclose(decoded.logits, masks, atol=1e-5)
    assert torch.allclose(decoded.iou, iou, atol=1e-5)
    with torch.no_grad():
        decoder.agent_tokens.weight.mul_(30)
    again = decoder(**prompts)
    assert torch.equal(again.logits, decoded.logits)
    assert not torch.allclose(again.tokens, decoded.tokens, atol=1e-2)


def test_isolated_tokens_are_a_joint_pass_in_which_nobody_may_look_at_them(
    a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = SamTokenDecoder(a_small_decoder, experts=3)
    isolated = decoder(**prompts).tokens
    new, pixels = 4, 36

    def masked(self: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        heads = [
            self._separate_heads(linear(x), self.num_heads)
            for linear, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        ]
        allowed = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool)
        if k.shape[1] != pixels:
            allowed[:, -new:] = False
            if q.shape[1] != pixels:
                allowed[-new:] = True
        seen = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=allowed)
        return self.out_proj(self._recombine_heads(seen))

    monkeypatch.setattr(Attention, "forward", masked)
    pretrained = torch.cat([a_small_decoder.iou_token.weight, a_small_decoder.mask_tokens.weight]).expand(2, -1, -1)
    agents = decoder.agent_tokens.weight.expand(2, -1, -1)
    place = prompts["position"].expand(2, -1, -1, -1)
    tokens = torch.cat([pretrained, prompts["sparse"], agents], dim=1)
    hidden, _ = a_small_decoder.transformer(prompts["image"] + prompts["dense"], place, tokens)
    assert torch.allclose(isolated, hidden[:, -new:], atol=1e-5)


def test_isolated_tokens_read_the_prompt_and_the_image(
    a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]
) -> None:
    decoder = SamTokenDecoder(a_small_decoder, experts=2)
    tokens = decoder(**prompts).tokens
    assert tokens.shape == (2, 3, SIZE)
    for name in ("sparse", "image"):
        changed = decoder(**(prompts | {name: prompts[name] + 1})).tokens
        assert not torch.allclose(changed, tokens, atol=1e-3)


def test_joint_tokens_are_a_decoder_with_more_mask_tokens(
    a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]
) -> None:
    decoder = SamTokenDecoder(a_small_decoder, experts=3, isolated=False)
    longer = MaskDecoder(
        transformer_dim=SIZE,
        transformer=a_small_decoder.transformer,
        num_multimask_outputs=7,
        iou_head_hidden_dim=16,
    ).eval()
    longer.output_upscaling = a_small_decoder.output_upscaling
    longer.iou_token = a_small_decoder.iou_token
    longer.output_hypernetworks_mlps[0] = a_small_decoder.output_hypernetworks_mlps[0]
    with torch.no_grad():
        weights = torch.cat([a_small_decoder.mask_tokens.weight, decoder.agent_tokens.weight])
        longer.mask_tokens.weight.copy_(weights)
    assert torch.allclose(decoder(**prompts).logits, plain(longer, prompts)[0], atol=1e-5)
    assert not torch.allclose(decoder(**prompts).logits, plain(a_small_decoder, prompts)[0], atol=1e-3)


def test_pretrained_mask_mlps_are_kept_unless_the_released_slip_is_asked_for(a_small_decoder: MaskDecoder) -> None:
    before = copy.deepcopy(a_small_decoder.output_hypernetworks_mlps.state_dict())
    SamTokenDecoder(a_small_decoder, experts=3, isolated=False)
    kept = a_small_decoder.output_hypernetworks_mlps.state_dict()
    assert all(torch.equal(before[name], kept[name]) for name in before)
    SamTokenDecoder(a_small_decoder, experts=3, isolated=False, fresh_mask_mlps=True)
    fresh = a_small_decoder.output_hypernetworks_mlps.state_dict()
    assert not any(torch.equal(before[name], fresh[name]) for name in before)


def test_several_images_decode_as_each_of_them_alone(a_small_decoder: MaskDecoder) -> None:
    decoder = SamTokenDecoder(a_small_decoder, experts=2)
    images, sparse = torch.randn(3, SIZE, 4, 4), torch.randn(3, 2, SIZE)
    dense, position = torch.randn(3, SIZE, 4, 4), torch.randn(1, SIZE, 4, 4)
    together = decoder(images, position, sparse, dense)
    for n in range(3):
        alone = decoder(images[n : n + 1], position, sparse[n : n + 1], dense[n : n + 1])
        assert torch.allclose(together.logits[n], alone.logits[0], atol=1e-5)
        assert torch.allclose(together.tokens[n], alone.tokens[0], atol=1e-5)


def test_the_released_head_adds_as_many_parameters_as_published() -> None:
    decoder = SamTokenDecoder(make_mask_decoder(), experts=3, isolated=False)
    head = ReleasedSamHead(experts=3)
    assert decoder.agent_tokens.weight.numel() == 1024
    assert sum(p.numel() for p in head.maps.parameters()) == 559_232
    assert sum(p.numel() for p in head.predictor.parameters()) == 295_169


@pytest.mark.parametrize("experts", [1, 3, 5])
@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_routing_is_a_distribution_on_the_grid_of_the_logits(
    mode: str, experts: int, a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]
) -> None:
    decoded = SamTokenDecoder(a_small_decoder, experts, isolated=mode == "consistent")(**prompts)
    answer = make_head(mode, experts)(inputs_of(decoded, prompts))
    routing = answer.routing()
    assert answer.mode == mode
    assert routing.shape == (2, experts + 1, 24, 24)
    assert torch.allclose(routing.sum(1), torch.ones(2, 24, 24), atol=1e-5)
    assert (routing >= 0).all()


def test_the_consistent_head_starts_near_trust_in_the_model(
    a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]
) -> None:
    decoded = SamTokenDecoder(a_small_decoder, 3)(**prompts)
    answer = make_head("consistent")(inputs_of(decoded, prompts))
    assert answer.deferral().max() < 0.15
    assert answer.shares().detach().numpy() == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_permuting_the_experts_of_a_head_permutes_its_answer(
    mode: str, a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]
) -> None:
    order = [2, 0, 1]
    decoder = SamTokenDecoder(a_small_decoder, 3, isolated=mode == "consistent")
    head = make_head(mode)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    before = head(inputs_of(decoder(**prompts), prompts)).routing()
    decoder.reorder_experts(order)
    head.reorder_experts(order)
    after = head(inputs_of(decoder(**prompts), prompts)).routing()
    assert torch.allclose(after, before[:, [*order, 3]], atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)
    with pytest.raises(ValueError, match="order of experts"):
        head.reorder_experts([0, 0, 1])


@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_every_new_parameter_gets_a_gradient_from_the_routing(
    mode: str, a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]
) -> None:
    a_small_decoder.requires_grad_(False)
    decoder = SamTokenDecoder(a_small_decoder, 3, isolated=mode == "consistent")
    head = make_head(mode)
    answer = head(inputs_of(decoder(**prompts), prompts))
    (answer.routing().square().sum() + answer.defer.square().sum()).backward()
    named = [*decoder.named_parameters(), *head.named_parameters()]
    silent = [n for n, p in named if p.requires_grad and (p.grad is None or not p.grad.abs().max() > 0)]
    assert silent == []
    assert all(p.grad is None for p in a_small_decoder.parameters())


def test_a_missing_input_is_named(a_small_decoder: MaskDecoder, prompts: dict[str, torch.Tensor]) -> None:
    decoded = SamTokenDecoder(a_small_decoder, 3)(**prompts)
    bare = HeadInputs(logits=decoded.logits, features=decoded.features)
    with pytest.raises(ValueError, match="tokens"):
        make_head("released")(bare)
    with pytest.raises(ValueError, match="needs the image"):
        make_head("consistent")(bare)


@pytest.fixture(params=["pad", "stretch"])
def a_box_segmentor(request: pytest.FixtureRequest) -> BoxSegmentor:
    """A box segmentor whose logits are bright minus dark inside the box, features 4 x 64 x 64 on a 64-pixel input."""

    def encoder(images: torch.Tensor) -> torch.Tensor:
        return images[:, :1]

    def decoder(embedding: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        low, high = boxes[:, 0, :, None, None], boxes[:, 1, :, None, None]
        inside = (columns >= low[:, 0]) & (columns <= high[:, 0]) & (rows >= low[:, 1]) & (rows <= high[:, 1])
        logits = torch.where(inside, embedding[:, 0] * 8 - 4, torch.tensor(-8.0))
        return logits, logits.unsqueeze(1).repeat(1, 4, 1, 1), torch.ones(len(boxes))

    return BoxSegmentor("bright", encoder, decoder, 64, request.param, torch.device("cpu"))


def test_head_inputs_and_answers_lie_where_the_slice_lies(a_box_segmentor: BoxSegmentor) -> None:
    slice_view = np.zeros((1, 48, 90), dtype=np.float32)
    slice_view[0, 10:31, 20:71] = 1
    box = np.array([[20, 10, 70, 30]], dtype=np.float32)
    encoding = a_box_segmentor.encode(slice_view)[0]
    prediction = a_box_segmentor.decode(encoding, box, with_features=True)
    canvas = canvas_of(encoding, prediction, a_box_segmentor.fit)
    inputs = sam_inputs(canvas, encoding, prediction, box, neighbors=torch.zeros(1, 2, 48, 90))
    head = ConsistentSamHead(DenseSettings(features=4, experts=2, box=True, neighbors=2, width=4, dilations=(1,)))
    routing = head(inputs).routing()
    back = canvas.to_view(routing)
    assert back.shape == (1, 3, 48, 90)
    assert torch.allclose(back.sum(1), torch.ones(1, 48, 90), atol=1e-5)
    assert torch.allclose(canvas.to_view(prediction.low_res_logits[:, None])[:, 0], prediction.logits, atol=1e-4)
    there = canvas.from_view(torch.from_numpy(slice_view)[None])
    assert ((there[0, 0] > 0.5) != (inputs.image[0, 0] > 0.5)).float().mean() < 0.01
    assert canvas.valid().sum() == canvas.filled[0] * canvas.filled[1]
    inside = there[0, 0] > 0.5
    rows, columns = inside.nonzero().T
    corners = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert inputs.boxes[0].tolist() == pytest.approx([float(c) for c in corners], abs=1.0)
