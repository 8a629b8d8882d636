import pytest

from mapose.config import list_presets, load_settings
from mapose.errors import SettingsError


def test_presets_come_with_the_package():
    assert {"small", "large"} <= set(list_presets())
    for name in list_presets():
        assert load_settings(name).network.widths


def test_overrides_are_typed():
    settings = load_settings("small", ["train.steps=12", "augment.flip=false"])
    assert settings.train.steps == 12 and settings.augment.flip is False


def test_a_factor_enlarges_or_is_a_whole_number():
    halved = load_settings("small", ["network.factor=0.5"]).network
    assert halved.factor == 0.5 and halved.stride is None
    whole = load_settings("small", ["network.factor=2.0"]).network.factor
    assert whole == 2 and isinstance(whole, int)  # as a model writes it down
    for wrong in ("0.3", "1.5", "17", "0"):
        with pytest.raises(SettingsError, match=r"network\.factor.*whole number"):
            load_settings("small", [f"network.factor={wrong}"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stpes=5", "did you mean 'steps'"),
        ("trian.steps=5", "did you mean 'train'"),
        ("train.steps=-1", "train.steps"),
        ("train.steps", "section.key=value"),
        ("network.widths=[1]", "network.widths"),
        ("network.widths=[8,8,8]", "widths and depths: wanted equally many, came 3 and 5"),
        ("network.depths=[0,0]", "widths and depths: wanted equally many, came 5 and 2"),
    ],
)
def test_bad_settings_are_told_with_what_to_do(override, message):
    with pytest.raises(SettingsError, match=message):
        load_settings("small", [override])


def test_the_pretrained_encoder_wants_a_width_per_stride():
    with pytest.raises(SettingsError, match="wants 5 numbers, came 3; those of --preset small"):
        load_settings("pretrained", ["network.widths=[8,8,8]"])


def test_all_faults_come_at_once():
    with pytest.raises(SettingsError, match=r"train\.steps.*train\.rate"):
        load_settings("small", ["train.steps=0", "train.rate=-1"])


def test_an_unknown_preset_is_told(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'small'"):
        load_settings("smal")
    with pytest.raises(SettingsError, match="no settings file"):
        load_settings(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("train: [", encoding="utf-8")
    with pytest.raises(SettingsError, match="YAML"):
        load_settings(tmp_path / "bad.yaml")
