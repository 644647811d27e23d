"""Images in folders, among what else lies there."""

from nas.image_files import find_images, is_image_name

NAMES = ("b.png", "a.JPG", "in/c.bmp", "in/deep/d.tif", "e.jfif")
OTHERS = (
    "notes.txt", "._a.JPG", ".hidden.png", ".ipynb_checkpoints/b-checkpoint.png", "Thumbs.db",
    "__MACOSX/._b.png", "__MACOSX/b.png", "@eaDir/b.png", "in/.git/logo.png", "png", "a.png.part",
)  # fmt: skip


def test_images_are_found_and_all_else_is_skipped(tmp_path):
    for name in (*NAMES, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "elsewhere.png")
    found = [file.relative_to(tmp_path).as_posix() for file in find_images(tmp_path)]
    assert found == sorted(NAMES)


def test_a_linked_folder_is_followed_and_the_folder_itself_may_be_hidden(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.png").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cat").symlink_to(tmp_path / ".cache")
    assert find_images(tmp_path / "data") == [tmp_path / "data" / "cat" / "a.png"]
    assert find_images(tmp_path / ".cache") == [tmp_path / ".cache" / "a.png"]


def test_names():
    assert is_image_name("A.WebP") and not is_image_name("._A.webp")
    assert not is_image_name("a.heic")
