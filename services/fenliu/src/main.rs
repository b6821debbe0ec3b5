//! The binary `fenliu`.

fn main() -> std::process::ExitCode {
    fenliu::commands::main()
}
