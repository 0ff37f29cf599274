//! The fuzz targets' committed corpus, replayed without a fuzzer.

use std::fs;
use std::path::Path;

use whohas_model::fuzz;

#[test]
fn every_file_of_the_corpus_passes_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for fuzz::Target { name, run } in fuzz::TARGETS {
        let folder = fs::read_dir(corpus.join(name)).expect("every target has a corpus");
        let mut files = 0;
        for file in folder {
            let path = file.expect("a folder can be read").path();
            // Told only when the test fails, and then the last one is the culprit.
            println!("{}", path.display());
            run(&fs::read(&path).expect("a file can be read"));
            files += 1;
        }
        assert!(files > 0, "no corpus for {name}");
    }
}
