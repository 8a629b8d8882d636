"""Small valid files of every kind that mapose reads, for `fuzz_readers.py` to damage.

Each specimen is a folder with all that belongs together; `main` is what its reader is given, and
`parts` are the files that are damaged.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import PIL.Image
import scipy.io
import sleap_io as sio
import yaml

from calibration.synthetic import make_ring
from mapose.config import load_settings
from mapose.doubts import Doubt
from mapose.edits import Edit, Sighting, save_edits
from mapose.io import VideoWriter, save, save_labels, write, write_image
from mapose.io.proposals import Proposals, save_proposals
from mapose.labels import Labels
from mapose.models import Model
from mapose.models.network import build_network
from mapose.poses import Peaks, Poses
from mapose.project import Project
from mapose.recognition.appearance import Appearance
from mapose.recognition.crops import BodyTemplate
from mapose.recognition.gallery import Gallery
from mapose.recognition.network import AppearanceNetwork
from mapose.skeleton import Skeleton

SKELETON = Skeleton(["snout", "tail"], [("snout", "tail")])
XY = np.array([[10.0, 20], [30, 40]])


@dataclass(frozen=True)
class Specimen:
    """One valid input.

    Parameters
    ----------
    name : str
        Of the specimen.
    main : str
        File or folder that the readers are given, from the specimen's folder; ``"."`` for itself.
    readers : tuple of str
        Names of `fuzz_readers.READERS`.
    parts : tuple of str
        Files to damage; `main` if none.
    """

    name: str
    main: str
    readers: tuple[str, ...]
    parts: tuple[str, ...] = field(default=())


_MAKERS: list[tuple[Specimen, Callable[[Path], None]]] = []


def specimen(main: str, *readers: str, parts: tuple[str, ...] = ()) -> Callable:
    def keep(make: Callable[[Path], None]) -> Callable[[Path], None]:
        name = make.__name__.removeprefix("_").removeprefix("make_")
        _MAKERS.append((Specimen(name, main, readers, parts or (main,)), make))
        return make

    return keep


def make_specimens(folder: Path) -> list[Specimen]:
    """Write all specimens, each into a folder of its own name."""
    for specimen, make in _MAKERS:
        place = folder / specimen.name
        if not place.exists():
            place.mkdir(parents=True)
            make(place)
    return [specimen for specimen, _ in _MAKERS]


def draw_picture(number: int = 0) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)


def draw_film(path: Path) -> None:
    with VideoWriter(path, 25) as writer:
        for i in range(6):
            writer.write(draw_picture(i))


def draw_poses(dimensions: int = 2, frames: int = 6) -> Poses:
    rng = np.random.default_rng(0)
    array = rng.uniform(5, 40, (frames, 2, 2, dimensions + 1))
    array[..., -1] = 0.9
    unit = "mm" if dimensions == 3 else "px"  # a .trc needs one that OpenSim knows
    return Poses(array, SKELETON, ["ann", "bob"], 25, unit)


@specimen("r.mapose.h5", "read", "mapose")
def _make_own_file(folder: Path) -> None:
    n = 12
    peaks = Peaks(
        frame=np.repeat(np.arange(6), 2),
        keypoint=np.tile([0, 1], 6),
        xy=np.ones((n, 2)),
        score=np.ones(n),
        covariance=np.tile(np.eye(2), (n, 1, 1)),
        pairs=np.arange(n).reshape(-1, 2),
        edge=np.zeros(6, int),
        affinity=np.ones(6),
        n_frames=6,
    )
    doubts = [Doubt(1, 3, ("ann", "bob"), 0.2)]
    save(draw_poses(), folder / "r.mapose.h5", peaks=peaks, provenance={"made": "x"}, doubts=doubts)


@specimen("r3.mapose.h5", "read", "mapose")
def _make_own_file_in_space(folder: Path) -> None:
    poses = draw_poses(3)
    shape = poses.array.shape[:3]
    support = {
        "error": np.ones(shape, np.float32),
        "n_views": np.full(shape, 3, np.int16),
        "filled": np.zeros(shape, bool),
    }
    save(poses, folder / "r3.mapose.h5", support=support, cameras=make_ring(2).to_toml())


def _make_written(name: str, format: str, dimensions: int = 2) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write(draw_poses(dimensions), folder / name, format)

    make.__name__ = f"_make_{format.replace('-', '_')}_poses"
    return make


for _name, _format, _dimensions in (
    ("r.h5", "dlc-h5", 2),
    ("r.csv", "dlc-csv", 2),
    ("r.slp", "slp", 2),
    ("r.nc", "movement", 2),
    ("r.csv", "csv", 2),
    ("r.trc", "trc", 3),
):
    specimen(_name, "read")(_make_written(_name, _format, _dimensions))


@specimen("r.csv", "read", "support")
def _make_anipose_csv(folder: Path) -> None:
    write(draw_poses(3), folder / "r.csv", "csv")


@specimen("r.nc", "read")
def _make_netcdf3(folder: Path) -> None:
    draw_poses().to_xarray().to_netcdf(folder / "r.nc", engine="scipy")


@specimen("r.analysis.h5", "read", "labels", "import")
def _make_sleap_analysis(folder: Path) -> None:
    with h5py.File(folder / "r.analysis.h5", "w") as file:
        file["tracks"] = np.random.default_rng(0).uniform(5, 40, (2, 2, 2, 6))
        file["point_scores"] = np.ones((2, 2, 6))
        file["node_names"] = [b"snout", b"tail"]
        file["track_names"] = [b"ann", b"bob"]
        file["edge_names"] = np.array([[b"snout", b"tail"]])
        file["video_path"] = "clip.mp4"
    draw_film(folder / "clip.mp4")


@specimen("people", "read", parts=("people/f_000001.json", "people/f_000000.json"))
def _make_openpose(folder: Path) -> None:
    (folder / "people").mkdir()
    points = np.random.default_rng(0).uniform(1, 99, 54).tolist()
    for frame in range(3):
        text = json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": points}]})
        (folder / "people" / f"f_{frame:06d}.json").write_text(text)


def list_frames() -> tuple[sio.Video, sio.Skeleton, list[sio.LabeledFrame]]:
    skeleton = sio.Skeleton(["snout", "tail"], edges=[(0, 1)])
    video = sio.Video("clip.mp4", open_backend=False)
    frames = [
        sio.LabeledFrame(video, i, [sio.Instance.from_numpy(XY + i, skeleton)]) for i in range(3)
    ]
    return video, skeleton, frames


@specimen("l.slp", "labels", "import")
def _make_sleap_labels(folder: Path) -> None:
    video, skeleton, frames = list_frames()
    labels = sio.Labels(frames, videos=[video], skeletons=[skeleton])
    sio.save_slp(labels, str(folder / "l.slp"), embed=False, verbose=False)
    draw_film(folder / "clip.mp4")


@specimen("l.pkg.slp", "labels", "images", "import")
def _make_sleap_package(folder: Path) -> None:
    files = [str(folder / f"img{i}.png") for i in range(3)]
    for i, file in enumerate(files):
        write_image(draw_picture(i), Path(file))
    video = sio.Video.from_filename(files)
    _, skeleton, _ = list_frames()
    frames = [
        sio.LabeledFrame(video, i, [sio.Instance.from_numpy(XY + i, skeleton)]) for i in range(3)
    ]
    labels = sio.Labels(frames, videos=[video], skeletons=[skeleton])
    sio.save_slp(labels, str(folder / "l.pkg.slp"), embed=True, verbose=False)
    for file in files:
        Path(file).unlink()


@specimen("set.h5", "labels", "images", "import", parts=("set.h5", "names.csv"))
def _make_deepposekit(folder: Path) -> None:
    with h5py.File(folder / "set.h5", "w") as file:
        file["images"] = np.stack([draw_picture(i)[..., :1] for i in range(3)])
        file["annotations"] = np.tile(XY, (3, 1, 1))
        file["annotated"] = np.ones((3, 2), bool)
        file["skeleton"] = np.array([[-1, -1], [0, -1]])
    (folder / "names.csv").write_text("name,parent,swap\nsnout,,\ntail,snout,\n")


@specimen("l.json", "labels", "import", parts=("l.json", "l.json", "images/a1.png"))
def make_coco(folder: Path) -> None:
    for i in range(3):
        write_image(draw_picture(i), folder / "images" / f"a{i}.png")
    document = {
        "images": [{"id": i, "file_name": f"a{i}.png"} for i in range(3)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}
            for i in range(3)
        ],
        "categories": [
            {"id": 1, "name": "m", "keypoints": ["snout", "tail"], "skeleton": [[1, 2]]}
        ],
    }
    (folder / "l.json").write_text(json.dumps(document))


@specimen("annotations.xml", "labels", "import")
def _make_cvat(folder: Path) -> None:
    sheets = ""
    for i in range(3):
        write_image(draw_picture(i), folder / "images" / f"a{i}.png")
        points = "".join(
            f'<points label="{name}" occluded="{i % 2}" outside="0" points="{i + 1}.0,2.0"/>'
            for name in ("snout", "tail")
        )
        drawn = f'<skeleton label="mouse" source="manual">{points}</skeleton>'
        sheets += f'<image id="{i}" name="a{i}.png" width="64" height="48">{drawn}</image>'
    shape = '<skeleton frame="3" keyframe="1"><points label="snout" points="1.0,2.0"/></skeleton>'
    track = f'<track id="0" label="mouse">{shape}</track>'
    text = f"<annotations><version>1.1</version>{sheets}{track}</annotations>"
    (folder / "annotations.xml").write_text(text)


@specimen("tasks.json", "labels")
def _make_labelstudio(folder: Path) -> None:
    value = {"x": 10, "y": 20, "width": 1, "keypointlabels": ["snout"]}
    region = {"type": "keypointlabels", "original_width": 40, "original_height": 30, "value": value}
    tasks = [
        {
            "id": i,
            "data": {"img": f"/data/upload/1/a{i}.png"},
            "annotations": [{"result": [region]}],
        }
        for i in range(3)
    ]
    (folder / "tasks.json").write_text(json.dumps(tasks))


@specimen("a0.json", "labels")
def _make_labelme(folder: Path) -> None:
    shape = {"label": "snout", "points": [[1.0, 2.0]], "group_id": None, "shape_type": "point"}
    size = {"imageHeight": 30, "imageWidth": 40}
    document = {"version": "5", "shapes": [shape], "imagePath": "a0.png", **size}
    (folder / "a0.json").write_text(json.dumps(document))


@specimen("data.yaml", "labels", parts=("data.yaml", "labels/a0.txt", "images/a0.png"))
def _make_yolo(folder: Path) -> None:
    write_image(draw_picture(0), folder / "images" / "a0.png")
    (folder / "labels").mkdir()
    (folder / "labels" / "a0.txt").write_text("0 0.5 0.5 0.2 0.2 0.1 0.2 2 0.3 0.4 1\n")
    (folder / "data.yaml").write_text("kpt_shape: [2, 3]\nflip_idx: [1, 0]\nnames: {0: mouse}\n")


@specimen("at.json", "labels")
def _make_alphatracker(folder: Path) -> None:
    point = [{"class": "point", "x": 3.0, "y": 4.0}]
    face = {"class": "Face", "height": 10, "width": 10, "x": 1.0, "y": 2.0}
    frames = [
        {"filename": f"i{i}.png", "class": "image", "annotations": [face, *point]} for i in range(2)
    ]
    (folder / "at.json").write_text(json.dumps(frames))


_DLC = ("labeled-data/clip/CollectedData_me.csv", "config.yaml", "labeled-data/clip/img1.png")


def _dlc_table(folder: Path) -> pd.DataFrame:
    place = folder / "labeled-data" / "clip"
    for i in range(3):
        write_image(draw_picture(i), place / f"img{i}.png")
    config = {"scorer": "me", "bodyparts": ["snout", "tail"], "skeleton": [["snout", "tail"]]}
    config["video_sets"] = {"/rec/clip.mp4": {"crop": "0, 9, 0, 9"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    columns = pd.MultiIndex.from_product(
        [["me"], ["snout", "tail"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    rows = pd.MultiIndex.from_tuples([("labeled-data", "clip", f"img{i}.png") for i in range(3)])
    return pd.DataFrame(np.tile(XY.ravel(), (3, 1)), rows, columns)


@specimen(".", "labels", "import", parts=_DLC)
def _make_deeplabcut_project(folder: Path) -> None:
    _dlc_table(folder).to_csv(folder / _DLC[0])


@specimen(".", "labels", "import", parts=("labeled-data/clip/CollectedData_me.h5",))
def _make_deeplabcut_project_h5(folder: Path) -> None:
    _dlc_table(folder).to_hdf(
        folder / "labeled-data/clip/CollectedData_me.h5", key="df_with_missing"
    )


@specimen("t.csv", "labels", "import")
def _make_long_table(folder: Path) -> None:
    lines = ["image,individual,keypoint,x,y"]
    for i in range(3):
        write_image(draw_picture(i), folder / f"p{i}.png")
        lines += [f"p{i}.png,ann,{part},{i + 1}.5,{i + 2}" for part in ("snout", "tail")]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")


@specimen("t.csv", "labels", "read")
def _make_wide_table(folder: Path) -> None:
    rows = [f"{i},{i}.5,2,{i},4" for i in range(4)]
    (folder / "t.csv").write_text("\n".join(["frame,snout_x,snout_y,tail_x,tail_y", *rows]) + "\n")


@specimen("tables", "labels", parts=("tables/p1.csv",))
def _make_folder_of_tables(folder: Path) -> None:
    (folder / "tables").mkdir()
    for i in range(3):
        (folder / "tables" / f"p{i}.csv").write_text(f"keypoint,x,y\nsnout,{i},2\ntail,3,4\n")


@specimen("p", "project", parts=("p/mapose.yaml", "p/labels/clip/labels.csv"))
def make_project(folder: Path) -> None:
    project = Project.create(folder / "p", SKELETON, individuals=["ann"])
    images = [project.path / "labels" / "clip" / f"frame{i:06d}.png" for i in range(2)]
    for image in images:
        write_image(draw_picture(), image)
    points = np.tile(XY, (2, 1, 1, 1))
    save_labels(
        Labels(points, SKELETON, ("clip",) * 2, np.arange(2), tuple(images), ("ann",), True),
        project.path / "labels",
    )


@specimen("w", "proposals", parts=("w/labels/clip/proposals.csv",))
def _make_waiting(folder: Path) -> None:
    project = Project.create(folder / "w", SKELETON, individuals=["ann"])
    images = [project.path / "labels" / "clip" / f"frame{i:06d}.png" for i in range(2)]
    for image in images:
        write_image(draw_picture(), image)
    labels = Labels(
        np.tile(XY, (2, 1, 1, 1)), SKELETON, ("clip",) * 2, np.arange(2), tuple(images), ("ann",)
    )
    shape = labels.points.shape[:3]
    origins, sure = np.full(shape, "model"), np.full(shape, 0.5, np.float32)
    waiting = Proposals(labels, np.ones(2, bool), origins, sure, ("a jump", "a swap"))
    save_proposals(waiting, project.path / "labels")


@specimen("p", "project", parts=("p/labels/journal.jsonl", "p/labels/journal.snapshot.json"))
def _make_project_with_a_past(folder: Path) -> None:
    make_project(folder)
    project = Project.load(folder / "p")
    project = project.set_points("clip", 0, {SKELETON.keypoints[0]: (1, 2)})
    project = project.rename_keypoint(SKELETON.keypoints[0], "nose").add_keypoint("new")
    past = project._past
    past._saved = (-(10**9), 0)  # so that a snapshot is due
    past._save_snapshot()
    project.undo()


@specimen("r.edits.csv", "edits")
def _make_edits(folder: Path) -> None:
    seen = (Sighting(2, (3.0, 4.0)),)
    edits = [Edit(3, ("ann", "bob"), "swap", (seen, seen), (seen, seen))] * 3
    save_edits(edits, folder / "r.edits.csv")


@specimen("zones.yaml", "zones")
def _make_zones(folder: Path) -> None:
    (folder / "zones.yaml").write_text(yaml.safe_dump({"nest": [[0, 0], [9, 0], [9, 9.5]]}))


@specimen("zones.csv", "zones")
def _make_table_of_zones(folder: Path) -> None:
    (folder / "zones.csv").write_text("zone,x,y\nnest,0,0\nnest,9,0\nnest,9,9.5\n")


@specimen("stack.tif", "stills")
def _make_stack(folder: Path) -> None:
    pages = [PIL.Image.fromarray(draw_picture(i)) for i in range(3)]
    pages[0].save(folder / "stack.tif", save_all=True, append_images=pages[1:])


@specimen("stills", "stills", parts=("stills/i1.png", "stills/i0.png"))
def _make_stills(folder: Path) -> None:
    for i in range(3):
        write_image(draw_picture(i), folder / "stills" / f"i{i}.png")


@specimen("settings.yaml", "settings")
def _make_settings(folder: Path) -> None:
    text = yaml.safe_dump(load_settings("small").model_dump(mode="json"))
    (folder / "settings.yaml").write_text(text)


@specimen("m", "model", parts=("m/model.yaml", "m/model.yaml", "m/weights.safetensors"))
def make_model(folder: Path) -> None:
    architecture = {
        "channels": 1,
        "keypoints": 2,
        "edges": 1,
        "widths": [8, 8, 8],
        "depths": [0, 0, 0],
    }
    Model(
        build_network(**architecture), architecture, SKELETON, SKELETON.edges, 1, 1, 2,
        np.full((2, 2), 30.0), np.ones(2), {"train": ["clip:1"], "test": []},
    ).save(folder / "m")  # fmt: skip


def _appearance() -> Appearance:
    template = BodyTemplate(np.array([[0, -1.0], [0, 1]]), np.ones(2), np.array([[0, 1]]))
    network = AppearanceNetwork(1, 8)
    return Appearance(network, template, ("snout", "tail"), 1, {"steps": 3})


@specimen("a.safetensors", "appearance")
def _make_appearance(folder: Path) -> None:
    _appearance().save(folder / "a.safetensors")


@specimen("g.gallery", "gallery")
def _make_gallery(folder: Path) -> None:
    gallery = Gallery(_appearance())
    for i, name in enumerate(("ann", "bob")):
        gallery = gallery.add(name, np.tile(np.eye(8)[i], (30, 1)), day="monday")
    gallery.save(folder / "g.gallery")


@specimen("c.toml", "cameras", "group")
def _make_anipose_cameras(folder: Path) -> None:
    make_ring(2).save(folder / "c.toml")


@specimen("c.toml", "cameras")
def _make_caliscope_cameras(folder: Path) -> None:
    matrix = [[900.0, 0, 320], [0, 900, 240], [0, 0, 1]]
    lines = []
    for i in range(2):
        lines += [f"[cameras.{i}]", f"cam_id = {i}", "size = [640, 480]", f"matrix = {matrix}"]
        lines += ["distortions = [0.1, 0, 0, 0, 0]", "rotation = [0.1, 0, 0]"]
        lines += ["translation = [0.1, 0.2, 1.0]", "ignore = false"]
    (folder / "c.toml").write_text("\n".join(lines) + "\n")


@specimen("c.qca.txt", "cameras")
def _make_qualisys_cameras(folder: Path) -> None:
    turn = " ".join(f'r{i}{j}="{float(i == j)}"' for i in (1, 2, 3) for j in (1, 2, 3))
    camera = (
        '<camera active="1" serial="7" video_resolution="1080p" viewrotation="0">'
        '<fov_video left="0" top="0" right="1919" bottom="1079"/>'
        f'<transform x="1" y="2" z="3" {turn}/>'
        '<intrinsic focalLengthU="100000" focalLengthV="100000" centerPointU="60000" '
        'centerPointV="34000" skew="0" radialDistortion1="0.1"/></camera>'
    )
    (folder / "c.qca.txt").write_text(f"<calibration><cameras>{camera}</cameras></calibration>")


def _dannce() -> dict[str, np.ndarray]:
    matrix = np.array([[900.0, 0, 320], [0, 900, 240], [0, 0, 1]])
    lens = {"RDistort": np.zeros((1, 3)), "TDistort": np.zeros((1, 2))}
    return {"K": matrix.T, "r": np.eye(3), "t": np.ones((1, 3)), **lens}


@specimen("c.mat", "cameras")
def _make_dannce_cameras(folder: Path) -> None:
    params = np.empty((2, 1), object)
    params[:, 0] = [_dannce(), _dannce()]
    names = np.array(["a", "b"], object)
    scipy.io.savemat(folder / "c.mat", {"params": params, "camnames": names})


@specimen("c.mat", "cameras")
def _make_dannce_hdf5(folder: Path) -> None:
    with h5py.File(folder / "c.mat", "w", userblock_size=512) as file:
        for name, value in _dannce().items():
            file[name] = value.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")


@specimen("c.mat", "cameras")
def _make_stereo_parameters(folder: Path) -> None:
    lens = {"RadialDistortion": np.zeros((1, 2)), "TangentialDistortion": np.zeros((1, 2))}
    lens |= {"K": _dannce()["K"].T, "ImageSize": np.array([[480.0, 640]]), "WorldUnits": "mm"}
    pose = {"RotationOfCamera2": np.eye(3), "TranslationOfCamera2": np.ones((1, 3))}
    data = {"CameraParameters1": lens, "CameraParameters2": lens, **pose}
    scipy.io.savemat(folder / "c.mat", {"stereoParams": data})


@specimen("c.mat", "cameras")
def _make_bouguet_pair(folder: Path) -> None:
    data = {"om": np.ones((3, 1)), "T": np.ones((3, 1)), "nx": 640.0, "ny": 480.0}
    for side in ("left", "right"):
        lens = {"fc": np.full((2, 1), 900.0), "cc": np.full((2, 1), 300.0), "kc": np.zeros((5, 1))}
        data |= {f"{name}_{side}": value for name, value in lens.items()}
    scipy.io.savemat(folder / "c.mat", data)


@specimen("c.yaml", "cameras")
def _make_kalibr(folder: Path) -> None:
    lens = (
        "  camera_model: pinhole\n  distortion_coeffs: [0.1, 0.01, 0.0, 0.0]\n"
        "  distortion_model: radtan\n  intrinsics: [900.0, 900.0, 320.0, 240.0]\n"
        "  resolution: [640, 480]\n"
    )
    rows = "".join(f"  - {row}\n" for row in np.eye(4).tolist())
    text = f"cam0:\n{lens}cam1:\n  T_cn_cnm1:\n{rows}{lens}"
    (folder / "c.yaml").write_text(text, encoding="utf-8")


def _storage(folder: Path, name: str) -> None:
    storage = cv2.FileStorage(str(folder / name), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("camera_matrix", np.array([[900.0, 0, 320], [0, 900, 240], [0, 0, 1]]))
    storage.write("distortion_coefficients", np.zeros((1, 5)))
    storage.release()


@specimen("c.yml", "cameras")
def _make_opencv_yml(folder: Path) -> None:
    _storage(folder, "c.yml")


@specimen("c.xml", "cameras")
def _make_opencv_xml(folder: Path) -> None:
    _storage(folder, "c.xml")


@specimen("c.json", "cameras")
def _make_opencv_json(folder: Path) -> None:
    _storage(folder, "c.json")


@specimen("cams", "cameras", parts=("cams/intri.yml",))
def _make_opencv_folder(folder: Path) -> None:
    (folder / "cams").mkdir()
    _storage(folder / "cams", "intri.yml")
    shutil.copy(folder / "cams" / "intri.yml", folder / "cams" / "cam2.yml")


@specimen("ros.yaml", "cameras")
def _make_ros_camera(folder: Path) -> None:
    matrix = {"rows": 3, "cols": 3, "data": [900.0, 0.0, 320.0, 0.0, 900.0, 240.0, 0.0, 0.0, 1.0]}
    lens = {"rows": 1, "cols": 5, "data": [0.0] * 5}
    table = {"image_width": 640, "image_height": 480, "camera_name": "a"}
    table |= {"camera_matrix": matrix, "distortion_coefficients": lens}
    (folder / "ros.yaml").write_text(yaml.safe_dump(table, default_flow_style=None))


@specimen("b.toml", "board")
def _make_anipose_board(folder: Path) -> None:
    lines = ['board_type = "charuco"', "board_size = [8, 11]", "board_marker_bits = 4"]
    lines += ["board_marker_dict_number = 50", "board_marker_length = 18.75"]
    lines += ["board_square_side_length = 25"]
    (folder / "b.toml").write_text("\n".join(lines) + "\n")


@specimen("b.toml", "board")
def _make_caliscope_board(folder: Path) -> None:
    lines = ["columns = 4", "rows = 5", "board_height = 11", "board_width = 8.5"]
    lines += ['dictionary = "DICT_4X4_50"', 'units = "inch"', "aruco_scale = 0.75"]
    lines += ["square_size_override_cm = 5.4", "inverted = false", "legacy_pattern = false"]
    (folder / "b.toml").write_text("\n".join(lines) + "\n")


def _make_image(suffix: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        data = cv2.imencode(suffix, draw_picture())[1]
        (folder / f"i{suffix}").write_bytes(data.tobytes())

    make.__name__ = f"_make_image_{suffix[1:]}"
    return make


for _suffix in (".png", ".jpg", ".bmp", ".tif", ".webp"):
    specimen(f"i{_suffix}", "image")(_make_image(_suffix))
