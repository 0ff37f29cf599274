//! The manual and the shell completions of the `whohas` command, written from the definition of its
//! command line, so that they say what it does.

use anyhow::Result;

use crate::project::Project;

/// Writes `target/man` and `target/completions`.
#[cfg(target_os = "linux")]
pub(crate) fn write(project: &Project) -> Result<()> {
    use std::fs;

    use anyhow::Context;
    use clap_complete::Shell;

    let manual = project.target_dir.join("man");
    let completions = project.target_dir.join("completions");
    for folder in [&manual, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = whohas_linux::cli::command();
    clap_mangen::generate_to(command.clone(), &manual)
        .with_context(|| format!("cannot write to {}", manual.display()))?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "whohas", &completions)
            .with_context(|| format!("cannot write to {}", completions.display()))?;
    }
    println!("{}\n{}", manual.display(), completions.display());
    Ok(())
}

/// The command exists on Linux alone.
#[cfg(not(target_os = "linux"))]
pub(crate) fn write(_project: &Project) -> Result<()> {
    anyhow::bail!("the whohas command, and so its manual, exists on Linux alone")
}
