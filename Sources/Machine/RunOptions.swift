import Configuration
import Hypervisor
import Motherboard

/// Everything `paravane run` decides before a machine is put together. Command-line options have been merged with the
/// configuration file, and defaults applied.
public struct RunOptions: Sendable {
  public var type = GuestType.pv
  public var name = "guest"
  public var uuid: [UInt8] = Array(repeating: 0, count: 16)
  public var kernel = ""
  /// Where Debian's package `grub-xen-host` puts pvgrub, GRUB as the kernel of a 64-bit PV guest: it looks for /boot/grub/grub.cfg
  /// on the guest's disks, and starts what that names.
  public static let standardPVGRUB = "/usr/lib/grub-xen/grub-x86_64-xen.bin"
  /// Where Debian's package `seabios` puts a PC's BIOS.
  public static var standardBIOS: String { FirmwareImage.standardBIOS }
  /// pv: where unpacked kernels are kept between runs (`KernelCache`); nil keeps none.
  public var kernelCache: String?
  public var ramdisk: String?
  /// hvm: the BIOS; nil is the installed SeaBIOS.
  public var firmware: String?
  /// hvm: what to boot from, by xl's letters.
  public var bootOrder = "cdn"
  public var commandLine = ""
  /// MiB.
  public var memory = 512
  public var vcpus = 1
  public var clock = ClockMode.virtual
  public var seed: UInt64 = 0
  /// Wall clock at cycle 0, nanoseconds since 1970.
  public var startTime: UInt64 = 1_767_225_600_000_000_000
  /// Guest cycles per second.
  public var cyclesPerSecond: UInt64 = 1_000_000_000
  public var frames = FrameOrder.identity
  public var cpu = "v3"
  public var engine = EngineChoice.auto
  public var statisticsPath: String?
  public var wantsDigest = false
  public var timeout: Double?
  public var restartOnReboot = false
  public var disks: [DiskSpecification] = []
  public var interfaces: [NetworkSpecification] = []
  /// pcap file for the first interface's packets.
  public var capturePath: String?
  /// `--trace hypercalls=`.
  public var hypercallTracePath: String?
  /// `--console`.
  public var console = "stdio"
  /// `--monitor unix:PATH`.
  public var monitorPath: String?
  /// hvm: the text screen on the terminal (`--display terminal`), instead of the serial port.
  public var showsDisplay = false
  public var quiet = false
  public var verbose = 0
  public init() {}

  /// `kernelCache` as a process's environment says it: `PARAVANE_CACHE`, or the user's cache directory.
  public static func kernelCacheDirectory(_ environment: [String: String]) -> String? { KernelCache.directory(environment) }
}

/// The platform that a guest sees (`--type`).
public enum GuestType: String, Sendable, Codable {
  /// Xen's paravirtual one.
  case pv
  /// A legacy PC, whole.
  case hvm
}

/// What executes the guest's code.
public enum EngineChoice: String, Sendable, Codable {
  /// The translator where the host has it.
  case auto
  case interpreter, translator
  /// Both, side by side, to the first difference (`Lockstep`).
  case lockstep
}

/// How a run ended.
public struct Outcome: Sendable {
  public enum Ending: String, Sendable, Codable {
    case poweroff, crash, reboot, timeout, signal
    /// The engines did not agree.
    case difference
  }
  public var ending: Ending
  /// The process's exit status, as the command line's contract has it.
  public var status: Int32
  /// Crash report, for standard error.
  public var report: String?
}

/// The order in which a guest's frames are dealt out (`--frames`).
public typealias FrameChoice = FrameOrder

/// An error of the user's or the host's, with the exit status of the command line's contract.
public struct MachineError: Error, Sendable {
  public var status: Int32
  public var message: String
  public init(status: Int32, message: String) {
    self.status = status
    self.message = message
  }
}

/// The version that `--version` prints.
public let paravaneVersion = "0.1.0"
