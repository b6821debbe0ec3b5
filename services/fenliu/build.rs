//! Hashes the sources of all crates, so that a snapshot knows which build made it.

use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|ext| ext == "rs" || ext == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let services = ["kernel", "log", "runtime", "intake", "roster", "intent", "assignment", "kpi", "payroll"];
    let mut roots: Vec<String> = services.iter().map(|name| format!("../{name}/src")).collect();
    roots.push("../../proto/fenliu".to_owned());
    let mut files = Vec::new();
    for root in &roots {
        println!("cargo:rerun-if-changed={root}");
        sources(Path::new(root), &mut files)?;
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(&std::fs::read(file)?);
    }
    println!("cargo:rustc-env=FENLIU_BUILD={}", &hasher.finalize().to_hex()[..16]);
    Ok(())
}
