//! What a machine has, and what of it pods may use.

use std::collections::BTreeMap;

/// What a machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk for pods.
    pub storage_bytes: u64,
    /// How many pods may run.
    pub pods: u32,
    /// Kept from pods for the system: CPU thousandths and bytes of memory.
    pub reserved: (u64, u64),
    /// Facts about the system.
    pub system: System,
}

/// Facts about the system, for `status.nodeInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// `/etc/machine-id`
    pub machine_id: String,
    /// The firmware's id of the machine.
    pub system_uuid: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// `uname -r`
    pub kernel_version: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os_image: String,
    /// Go's word for the architecture, such as `amd64`.
    pub architecture: String,
}

impl Default for Machine {
    /// A node of the simulator: 32 CPUs, 256Gi, 110 pods.
    fn default() -> Self {
        Self {
            cpu_milli: 32_000,
            memory_bytes: 256 << 30,
            storage_bytes: 1 << 40,
            pods: 110,
            reserved: (0, 0),
            system: System {
                machine_id: String::new(),
                system_uuid: String::new(),
                boot_id: String::new(),
                kernel_version: "simulated".into(),
                os_image: "simulated".into(),
                architecture: architecture().into(),
            },
        }
    }
}

impl Machine {
    /// This machine. `data_dir` is on the disk that pods use.
    pub fn detect(data_dir: &std::path::Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let line = |path: &str| read(path).trim().to_owned();
        let memory_kib = read("/proc/meminfo")
            .lines()
            .find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0);
        let os_image = read("/etc/os-release")
            .lines()
            .find_map(|l| Some(l.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()))
            .unwrap_or_else(|| "Linux".into());
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let disk = nix::sys::statvfs::statvfs(data_dir);
        Self {
            cpu_milli: cpus * 1000,
            memory_bytes: memory_kib * 1024,
            #[allow(clippy::useless_conversion)] // The field's type differs between platforms.
            storage_bytes: disk.map_or(0, |d| u64::from(d.blocks()) * u64::from(d.fragment_size())),
            pods: 110,
            reserved: (0, (100 << 20).min(memory_kib * 1024 / 10)),
            system: System {
                machine_id: line("/etc/machine-id"),
                system_uuid: line("/sys/class/dmi/id/product_uuid"),
                boot_id: line("/proc/sys/kernel/random/boot_id"),
                kernel_version: line("/proc/sys/kernel/osrelease"),
                os_image,
                architecture: architecture().into(),
            },
        }
    }

    /// `status.capacity`
    pub fn capacity(&self) -> BTreeMap<String, String> {
        self.resources(self.cpu_milli, self.memory_bytes, self.storage_bytes)
    }

    /// `status.allocatable`: without what is reserved, and with a tenth of the disk kept free.
    pub fn allocatable(&self) -> BTreeMap<String, String> {
        let (cpu, memory) = self.reserved;
        let storage = self.storage_bytes - self.storage_bytes / 10;
        self.resources(self.cpu_milli.saturating_sub(cpu), self.memory_bytes.saturating_sub(memory), storage)
    }

    fn resources(&self, cpu_milli: u64, memory: u64, storage: u64) -> BTreeMap<String, String> {
        let cpu = if cpu_milli.is_multiple_of(1000) { (cpu_milli / 1000).to_string() } else { format!("{cpu_milli}m") };
        BTreeMap::from([
            ("cpu".into(), cpu),
            ("memory".into(), format!("{}Ki", memory / 1024)),
            ("ephemeral-storage".into(), format!("{}Ki", storage / 1024)),
            ("pods".into(), self.pods.to_string()),
        ])
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
