//! What others got wrong: rows of the hostile-input table.
