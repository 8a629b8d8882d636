"""A detector and ViTPose++ in the hub's own format, without network: small, and of random weights.

What is shown to the networks and what is made of their answers is held against the processors of
transformers.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mapose.analysis.pipeline import analyze
from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.io import VideoWriter, load
from mapose.models import TopDown, open_model
from mapose.models.detector import Detector
from mapose.models.vitpose import VitPose, decode_heatmaps, frame_box, place_peaks
from mapose.zoo import add_model, find_model, get_model
from mapose.zoo.cards import read_description

transformers = pytest.importorskip("transformers", reason="the extra hub is not installed")
QUADRUPEDS = read_description(find_model("zoo:quadrupeds"))
KEYPOINTS = QUADRUPEDS["skeleton"]["keypoints"]
LABELS = {0: "person", 1: "dog", 2: "horse"}


def save_pose(folder: Path, labels: list[str] | None = None) -> Path:
    torch.manual_seed(1)
    backbone = {
        "model_type": "vitpose_backbone", "image_size": [64, 48], "hidden_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_experts": 6, "part_features": 6,
        "out_indices": [2],
    }  # fmt: skip
    config = transformers.VitPoseConfig(
        backbone_config=backbone,
        use_simple_decoder=False,
        id2label=dict(enumerate(labels or KEYPOINTS)),
    )
    network = transformers.VitPoseForPoseEstimation(config)
    with torch.no_grad():  # experts that answer differently, peaks that rise
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    network.save_pretrained(folder)
    return folder


def save_detector(folder: Path) -> Path:
    torch.manual_seed(2)
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[8, 16, 16],
        encoder_ffn_dim=16, encoder_attention_heads=2, d_model=16, num_queries=12,
        decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, decoder_layers=1,
        decoder_attention_heads=2, num_denoising=0, id2label=LABELS,
        label2id={v: k for k, v in LABELS.items()},
    )  # fmt: skip
    transformers.RTDetrForObjectDetection(config).save_pretrained(folder)
    said = {"size": {"height": 64, "width": 64}, "do_normalize": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """Save a whole model; its detector believes everything."""
    folder = tmp_path_factory.mktemp("models") / "beasts"
    save_pose(folder / "pose")
    save_detector(folder / "detector")
    description = {**QUADRUPEDS, "detector": {**QUADRUPEDS["detector"], "threshold": 0.001}}
    (folder / "model.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    return folder


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def test_crops_and_decoding_are_those_of_the_processor(saved, image):
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    processor = VitPoseImageProcessorPil(size={"height": 64, "width": 48})
    pose = VitPose(str(saved / "pose"), keypoints=KEYPOINTS, expert=3)
    boxes = np.array([[20.0, 10, 40, 50], [5, 30, 70, 30]])
    theirs = processor(image, boxes=[boxes.tolist()], return_tensors="pt").pixel_values.numpy()
    frames = np.array([frame_box(box, (48, 64)) for box in boxes])
    ours = np.stack([pose.crop(image, frame) for frame in frames])
    # Theirs interpolates beyond the image's border, and rounds otherwise between pixels.
    inside = np.abs(ours[0] - theirs[0])[:, 5:-5, 5:-5]
    assert np.median(inside) < 0.01 and np.quantile(inside, 0.99) < 0.1
    x, y = np.meshgrid(np.arange(12), np.arange(16))
    truth = np.array([[4.3, 6.8], [7.75, 9.1]])
    heat = np.exp(-(((x - truth[:, 0, None, None]) ** 2 + (y - truth[:, 1, None, None]) ** 2) / 8))
    heat = 0.8 * np.broadcast_to(heat.astype(np.float32), (2, 2, 16, 12))
    cells, score, covariance = decode_heatmaps(heat)
    np.testing.assert_allclose(cells[0], truth, atol=0.05)
    assert score.min() > 0.7
    # A Gaussian of spread 2, and the blur of 0.8 before.
    np.testing.assert_allclose(
        covariance, np.broadcast_to(np.eye(2) * 4.6, covariance.shape), atol=0.4
    )
    found, _ = place_peaks(cells, score, covariance, frames=frames, shape=(16, 12))
    centres, scales = frames[:, :2] + frames[:, 2:] / 2, frames[:, 2:] / 200
    wanted, height = processor.keypoints_from_heatmaps(heat.copy(), centres, scales)
    np.testing.assert_allclose(found[..., :2], wanted, atol=1e-3)
    np.testing.assert_allclose(found[..., 2], height[..., 0], atol=1e-6)


def test_boxes_are_those_of_the_processor(saved, image):
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

    processor = RTDetrImageProcessorPil.from_pretrained(saved / "detector")
    detector = Detector(str(saved / "detector"), kinds=["dog", "horse", "yak"], threshold=0.0)
    pixels = processor(image, return_tensors="pt").pixel_values
    torch.testing.assert_close(detector.prepare(image)[None], pixels, atol=1e-6, rtol=0)
    with torch.inference_mode():
        answer = detector.network(pixel_values=pixels)
    theirs = processor.post_process_object_detection(
        answer, threshold=0.0, target_sizes=[(90, 120)]
    )[0]
    rows = zip(theirs["scores"], theirs["boxes"], theirs["labels"], strict=True)
    best = max((float(s), b) for s, b, kind in rows if LABELS[int(kind)] != "person")
    (found,) = detector.find([image])
    assert found[0, 4] == pytest.approx(best[0], abs=1e-5)
    left, top, right, bottom = best[1].tolist()
    np.testing.assert_allclose(found[0, :4], [left, top, right - left, bottom - top], atol=1e-3)
    with pytest.raises(SettingsError, match="finds dog, horse, person; none of yak"):
        Detector(str(saved / "detector"), kinds=["yak"])


def test_sizes_by_the_shortest_edge():
    from mapose.models.detector import _Preparation

    prepare = _Preparation({"size": {"shortest_edge": 800, "longest_edge": 1333}})
    assert prepare.find_size(640, 480) == (1067, 800)
    assert prepare.find_size(2000, 500) == (1333, 333)


def test_the_expert_decides(saved, image):
    boxes = np.array([[20.0, 10, 40, 50]])
    answers = [
        VitPose(str(saved / "pose"), keypoints=KEYPOINTS, expert=e).find(image, boxes)[0]
        for e in (3, 3, 0)
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).max() > 0.1
    with pytest.raises(SettingsError, match="has 6 experts, asked was 9"):
        VitPose(str(saved / "pose"), keypoints=KEYPOINTS, expert=9)


def test_a_head_for_people_is_refused(tmp_path):
    people = ["Nose", "L_Eye", "R_Eye", *(f"part{i}" for i in range(14))]
    save_pose(tmp_path / "pose", people)
    with pytest.raises(SettingsError, match=r"its head finds Nose.*mapose zoo add zoo:quad"):
        VitPose(str(tmp_path / "pose"), keypoints=KEYPOINTS, expert=3)
    short = ["L_Eye", "R_Eye", "Nose", "Neck", "Root of tail", "L_Shoulder", "L_Elbow", "L_F_Paw",
             "R_Shoulder", "R_Elbow", "R_F_Paw", "L_Hip", "L_Knee", "L_B_Paw", "R_Hip", "R_Knee",
             "R_B_Paw"]  # fmt: skip
    assert VitPose(str(save_pose(tmp_path / "ap10k", short)), keypoints=KEYPOINTS, expert=3)


def test_the_head_for_animals_comes_from_the_original_checkpoint(
    saved, image, tmp_path, monkeypatch
):
    monkeypatch.setenv("MAPOSE_ZOO", str(tmp_path / "zoo"))
    theirs = transformers.VitPoseForPoseEstimation.from_pretrained(saved / "pose").head
    names = {"deconv1": "deconv_layers.0", "batchnorm1": "deconv_layers.1", "conv.": "final_layer.",
             "deconv2": "deconv_layers.3", "batchnorm2": "deconv_layers.4"}  # fmt: skip
    state = {}
    for name, value in theirs.state_dict().items():
        key = name
        for ours, original in names.items():
            key = key.replace(ours, original)
        filled = torch.cat([value, value[:3]]) if "conv." in name else value  # to a common size
        state[f"associate_keypoint_heads.2.{key}"] = filled
    torch.save({"state_dict": state}, tmp_path / "vitpose+_tiny.pth")
    people = tmp_path / "people"
    shutil.copytree(saved, people)
    save_pose(people / "pose", ["Nose", *(f"part{i}" for i in range(16))])
    with pytest.raises(SettingsError, match="its head finds Nose"):
        open_model(people)
    folder = add_model(people, head=tmp_path / "vitpose+_tiny.pth")
    boxes = np.array([[20.0, 10, 40, 50]])
    found, _ = TopDown.load(folder).pose.find(image, boxes)
    wanted, _ = VitPose(str(saved / "pose"), keypoints=KEYPOINTS, expert=3).find(image, boxes)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    with pytest.raises(FormatError, match="no head of expert 3 that fits"):
        add_model(people, name="again", head=tmp_path / "other.pth")


def test_a_video_is_analysed_like_any_other(saved, image, tmp_path, monkeypatch):
    monkeypatch.setenv("MAPOSE_ZOO", str(tmp_path / "zoo"))
    assert get_model(add_model(saved, output=tmp_path / "beasts.zip")).name == "beasts"
    with VideoWriter(tmp_path / "farm.mp4", 25) as writer:
        for shift in range(6):
            writer.write(np.roll(image, 3 * shift, axis=1))
    poses = analyze(tmp_path / "farm.mp4", "zoo:beasts", 2)
    assert poses.skeleton.keypoints == tuple(KEYPOINTS) and len(poses) == 6
    assert poses.covariance is not None and np.isfinite(poses.points).any()
    again = load(tmp_path / "farm.mapose.h5")
    np.testing.assert_array_equal(again.array, poses.array)
    with pytest.raises(SettingsError, match="finds animals, not candidates"):
        analyze(tmp_path / "farm.mp4", "zoo:beasts", keep_peaks=True)
    part = analyze(
        tmp_path / "farm.mp4",
        "zoo:beasts",
        1,
        crop=(40, 20, 60, 60),
        output=tmp_path / "c.mapose.h5",
    )
    assert np.nanmin(part.points[..., 0]) > 20


def test_without_weights_the_message_says_what_to_do(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SettingsError, match=r"weights of 'PekingU.*cannot be had"):
        open_model(find_model("zoo:quadrupeds"))


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("detector/config.json", "depths", {"depths": [1, 2**36, 1, 1]}, "depths may be 1000"),
        ("detector/config.json", "decoder_layers", "many", "no such model"),
        ("detector/preprocessor_config.json", None, "[", "not json"),
        ("detector/preprocessor_config.json", None, "[1]", "not a complete description"),
        ("detector/preprocessor_config.json", "size", {"height": -1, "width": 1}, "no size"),
        ("pose/config.json", "backbone_config", 3, "no such model|cannot be had"),
    ],
)
def test_a_damaged_description_is_told(saved, tmp_path, file, old, new, told):
    folder = shutil.copytree(saved, tmp_path / "beasts")
    text = new
    if old is not None:
        found = json.loads((folder / file).read_text(encoding="utf-8"))
        inside = found["backbone_config"] if old == "depths" else found
        inside.update(new if old == "depths" else {old: new})
        text = json.dumps(found)
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(MaposeError, match=told):
        open_model(folder)


def test_a_class_may_be_called_after_a_block_whatever_its_number(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "beasts")
    place = folder / "detector/config.json"
    found = json.loads(place.read_text(encoding="utf-8"))
    found["label2id"] = {**found.get("label2id", {}), "cinder block": 20_000}
    place.write_text(json.dumps(found), encoding="utf-8")
    assert isinstance(open_model(folder), TopDown)


def test_the_fingerprint_is_of_the_weights(saved, tmp_path):
    model = TopDown.load(saved)
    assert model.hash == TopDown.load(saved).hash
    model.save(tmp_path)
    (tmp_path / "model.yaml").write_bytes((saved / "model.yaml").read_bytes())
    assert TopDown.load(tmp_path).hash == model.hash
    with torch.no_grad():
        next(model.pose.network.parameters()).add_(1)
    assert TopDown.load(saved).hash != model.hash
