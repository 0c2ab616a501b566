"""Models and tokenizers from and to the files of Hugging Face, each verified."""
