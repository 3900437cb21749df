"""Draw embeddings as points, with a colour and a marker for each emotion."""

from pathlib import Path

from c2ser.cli import run
from c2ser.scoring.config import Projection

GROUP = "Decode and score"


def main(
    data: list[Path], embeddings: Path, out: Path, projection: Projection = "tsne", title: str = "Embeddings"
) -> None:
    """Write the PNG OUT: each utterance is its mean embedding.

    Args:
        data: data directories; their utterances without an emotion are not drawn.
        embeddings: folder that holds <set>.scp of each.
        out: the picture.
        projection: tsne keeps neighbours together, pca keeps the largest variance.
        title: stands above the picture.
    """
    from c2ser.corpus import read_data_dirs
    from c2ser.data.arks import read_matrices
    from c2ser.scoring.embedding_plot import plot_points
    from c2ser.tables import read_table

    emotions = {name: utterance.emotion for name, utterance in read_data_dirs(data).items() if utterance.emotion}
    tables = (read_table(embeddings / f"{folder.name}.scp") for folder in data)
    vectors = {name: matrix.mean(axis=0) for table in tables for name, matrix in read_matrices(table, emotions)}
    plot_points(vectors, emotions, projection, title, out)


if __name__ == "__main__":
    run(main)
