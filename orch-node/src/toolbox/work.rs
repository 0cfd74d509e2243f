use super::{
    Failure,
    args::{Args, seconds},
};
use std::{io::Write, thread, time::Duration};

pub(super) fn sleep(args: &mut Args) -> Result<i32, Failure> {
    match args.next().as_deref() {
        None | Some("infinity") => forever(),
        Some(time) => thread::sleep(seconds(time)?),
    }
    Ok(0)
}

pub(super) fn exit(args: &mut Args) -> Result<i32, Failure> {
    let after = args.seconds("--after")?.unwrap_or_default();
    let code = args.need("the exit code")?;
    let code = code.parse().map_err(|_| format!("{code:?} is not an exit code"))?;
    thread::sleep(after);
    Ok(code)
}

pub(super) fn allocate(args: &mut Args) -> Result<i32, Failure> {
    const PAGE: usize = 4096;
    let hold = args.seconds("--hold")?;
    let mib: usize = args.need("the number of MiB")?.parse()?;
    let mut memory = Vec::with_capacity(mib);
    for _ in 0..mib {
        let mut block = vec![0_u8; 1 << 20];
        block.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        memory.push(std::hint::black_box(block));
    }
    writeln!(std::io::stdout(), "allocated {mib} MiB")?;
    match hold {
        Some(time) => thread::sleep(time),
        None => forever(),
    }
    drop(memory);
    Ok(0)
}

fn forever() {
    loop {
        thread::sleep(Duration::MAX);
    }
}
