import ArgumentParser
import CHost
import Configuration
import Foundation
import HostLinks
import Machine

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a guest.",
    discussion: "CONFIG is an xl.cfg file; an option overrides the key it is named for. Standard output carries the guest's console.")

  @Argument(help: "An xl.cfg file.") var config: String?
  @Option(help: ArgumentHelp("The platform: pv, or hvm: a whole PC with a BIOS.", valueName: "pv|hvm")) var type: String?
  @Option(help: ArgumentHelp("hvm: the BIOS image; the installed SeaBIOS by default.", valueName: "path")) var firmware: String?
  @Option(help: ArgumentHelp("hvm: what to boot from, in order: c disk, d CD-ROM, n network.", valueName: "order")) var boot: String?
  @Option(help: ArgumentHelp("Kernel: ELF or bzImage; without one pvgrub or the BIOS boots the disk.", valueName: "path"))
  var kernel: String?
  @Option(help: ArgumentHelp("Initial RAM disk.", valueName: "path")) var ramdisk: String?
  @Option(help: ArgumentHelp("Kernel command line.", valueName: "text")) var cmdline: String?
  @Option(help: ArgumentHelp("Guest memory, 512 by default.", valueName: "MiB")) var memory: Int?
  @Option(help: ArgumentHelp("Virtual CPUs; 1.", valueName: "n")) var vcpus: Int?
  @Option(help: ArgumentHelp("The guest's name.", valueName: "text")) var name: String?
  @Option(help: ArgumentHelp("The guest's UUID.", valueName: "uuid")) var uuid: String?
  @Option(help: ArgumentHelp("A disk in xl's syntax: image,raw|qcow2,xvda,rw. Repeatable.", valueName: "spec")) var disk: [String] = []
  @Option(help: ArgumentHelp("A network interface: link=user|tap|socket|none,… Repeatable.", valueName: "spec")) var vif: [String] = []
  @Option(help: ArgumentHelp("Write the first interface's packets to a pcap file.", valueName: "path")) var capture: String?
  @Option(help: ArgumentHelp("auto, translator, interpreter, or lockstep: both, to their first difference.", valueName: "engine"))
  var engine = "auto"
  @Option(
    help: ArgumentHelp("host: guest time keeps pace with real time; virtual: cycles only, the same on every run.", valueName: "clock"))
  var clock: String?
  @Option(help: ArgumentHelp("Seed of everything random.", valueName: "n")) var seed: UInt64?
  @Option(name: .customLong("start-time"), help: ArgumentHelp("Wall clock at start, ISO 8601.", valueName: "time")) var startTime: String?
  @Option(name: .customLong("tsc-hz"), help: ArgumentHelp("Guest cycles per second.", valueName: "n")) var tscHz: UInt64?
  @Option(help: ArgumentHelp("Machine frames: identity or scattered[:SEED].", valueName: "order")) var frames = "identity"
  @Option(help: ArgumentHelp("The processor the guest sees: v1, v2, v3 or max, and ±FEATURE…", valueName: "level")) var cpu = "v3"
  @Option(help: ArgumentHelp("stdio, pty, unix:PATH or file:PATH.", valueName: "link")) var console: String?
  @Option(help: ArgumentHelp("hvm: none, or terminal: the text screen and the keyboard on the terminal.", valueName: "display"))
  var display: String?
  @Option(help: ArgumentHelp("A control socket: unix:PATH; see paravane monitor.", valueName: "unix:path")) var monitor: String?
  @Option(help: ArgumentHelp("Write statistics as JSON to a file at the end.", valueName: "path")) var stats: String?
  @Flag(help: "Put a digest of the final state into the statistics.") var digest = false
  @Option(help: ArgumentHelp("Give up after this much real time.", valueName: "seconds")) var timeout: Double?
  @Option(
    help: ArgumentHelp("Write a trace: hypercalls=FILE, as Chrome's trace JSON.", valueName: "category=file")) var trace: String?
  @Flag(name: .shortAndLong, help: "Say less on standard error.") var quiet = false
  @Flag(name: .shortAndLong, help: "Say more on standard error.") var verbose: Int

  @OptionGroup(visibility: .hidden) var later: LaterOptions

  func run() throws {
    try later.refuse()
    let options = try makeOptions()
    var status: Int32
    repeat {
      status = try runMachine(options)
    } while status == 4 && options.restartOnReboot
    throw ExitCode(status)
  }

  /// SIGINT and SIGTERM enter the machine through its mailbox.
  private func startSignalThread(_ mailbox: Mailbox) {
    startThread {
      while true {
        let number = ph_wait_for_signal()
        if number > 0 { mailbox.post(.signal(number)) }
      }
    }
  }

  private func runMachine(_ options: RunOptions) throws -> Int32 {
    let mailbox: Mailbox
    let body: () -> Outcome
    let say: @Sendable (String) -> Void = { if !options.quiet { complain($0) } }
    do {
      if options.engine == .lockstep {
        let both = try Lockstep(options: options, say: say)
        (mailbox, body) = (both.mailbox, both.run)
      } else {
        let machine = try makeMachine(options: options, say: say)
        (mailbox, body) = (machine.mailbox, machine.run)
      }
    } catch let error as MachineError {
      throw Failure(status: error.status, message: error.message)
    }
    startSignalThread(mailbox)
    let outcome = body()
    if let report = outcome.report { FileHandle.standardError.write(Data(report.utf8)) }
    return outcome.status
  }

  /// Merges the configuration file and the options; every value is checked here.
  func makeOptions() throws -> RunOptions {
    var options = RunOptions()
    let file = try readConfiguration()
    do {
      try apply(file, to: &options)
      try chooseBootProgram(file, for: &options)
      try applyClock(to: &options)
    } catch let error as ConfigurationError {
      throw Failure.usage(config.map { "\($0): \(error)" } ?? "\(error)")
    }
    return options
  }

  /// A PV guest without a kernel of its own boots its disk through pvgrub, as a PC does through its BIOS.
  private func chooseBootProgram(_ file: XLConfiguration?, for options: inout RunOptions) throws {
    guard options.type == .pv else { return }
    if let entry = file?.entries.last(where: { $0.key == "firmware" }) {
      guard entry.value == .string("pvgrub64") else {
        throw ConfigurationError(line: entry.line, message: "a pv guest's firmware: \"pvgrub64\" is all that there is")
      }
      guard file?["kernel"] == nil else { throw ConfigurationError(line: entry.line, message: "firmware and kernel: say one of them") }
    }
    guard options.kernel.isEmpty else { return }
    guard !options.disks.isEmpty, options.ramdisk == nil else {
      throw Failure.usage("no kernel: say --kernel PATH, or kernel=\"PATH\" in the configuration")
    }
    options.kernel = RunOptions.standardPVGRUB
    guard access(options.kernel, R_OK) == 0 else {
      throw Failure.cannotOpen(
        "no kernel: say --kernel PATH; or install pvgrub, which boots from the disk: \(options.kernel) (Debian's package grub-xen-host)")
    }
  }

  private func readConfiguration() throws -> XLConfiguration? {
    guard let config else { return nil }
    guard let data = FileManager.default.contents(atPath: config) else {
      throw Failure.cannotOpen("\(config): cannot be read: does the file exist?")
    }
    do {
      return try XLConfiguration(parsing: String(decoding: data, as: UTF8.self))
    } catch {
      throw Failure.usage("\(config): \(error)")
    }
  }

  private func apply(_ file: XLConfiguration?, to options: inout RunOptions) throws {
    let type = try type ?? file?.string("type") ?? "pv"
    if type == "pvh" { throw Failure.usage("--type pvh is not available yet: this version runs pv and hvm guests") }
    guard let platform = GuestType(rawValue: type) else { throw Failure.usage("type '\(type)' is none of pv, pvh, hvm") }
    options.type = platform
    options.firmware = try firmware ?? file?.string("firmware_override")
    options.bootOrder = try boot ?? file?.string("boot") ?? options.bootOrder
    switch engine {
    case "auto": options.engine = .auto
    case "interpreter": options.engine = .interpreter
    case "translator": options.engine = .translator
    case "lockstep": options.engine = .lockstep
    default: throw Failure.usage("--engine '\(engine)' is none of auto, translator, interpreter, lockstep")
    }
    options.kernel = try kernel ?? file?.string("kernel") ?? ""
    options.kernelCache = RunOptions.kernelCacheDirectory(ProcessInfo.processInfo.environment)
    options.ramdisk = try ramdisk ?? file?.string("ramdisk")
    options.commandLine = try commandLine(file)
    options.memory = try memory ?? file?.number("memory").map { Int($0) } ?? 512
    guard options.memory >= 1, options.memory <= 1 << 22 else {
      throw Failure.usage("memory \(options.memory): say a number of MiB, 1 or more")
    }
    options.vcpus = try vcpus ?? file?.number("vcpus").map { Int($0) } ?? 1
    guard options.vcpus >= 1 else { throw Failure.usage("vcpus \(options.vcpus): say 1") }
    guard options.vcpus == 1 else { throw Failure.unavailable("vcpus \(options.vcpus): guests have one virtual CPU for now") }
    let stem = config.map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent }
    options.name = try name ?? file?.string("name") ?? stem ?? "guest"
    options.frames = try frameOrder()
    options.cpu = cpu
    options.disks = try (disk.isEmpty ? file?.strings("disk") ?? [] : disk).map { try DiskSpecification(parsing: $0) }
    options.interfaces = try (vif.isEmpty ? file?.strings("vif") ?? [] : vif).map { try NetworkSpecification(parsing: $0) }
    options.capturePath = capture
    if capture != nil && options.interfaces.isEmpty { throw Failure.usage("--capture: there is no --vif to capture from") }
    options.console = try console ?? file?.string("serial") ?? "stdio"
    try applyDisplay(to: &options)
    options.statisticsPath = stats
    options.wantsDigest = digest
    options.timeout = timeout
    options.restartOnReboot = try file?.string("on_reboot") == "restart"
    options.quiet = quiet
    if let trace {
      let parts = trace.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, !parts[1].isEmpty else { throw Failure.usage("--trace '\(trace)': say hypercalls=FILE") }
      for category in parts[0].split(separator: ",") where category != "hypercalls" {
        let known = ["exits", "interrupts", "block", "net", "store", "instructions"]
        throw Failure.usage(
          "--trace \(category) \(known.contains(String(category)) ? "is not available yet" : "is no category"): say hypercalls=FILE")
      }
      options.hypercallTracePath = parts[1]
    }
    options.verbose = verbose
    if let text = try uuid ?? file?.string("uuid") {
      guard let parsed = UUID(uuidString: text) else { throw Failure.usage("uuid '\(text)' is no UUID") }
      options.uuid = withUnsafeBytes(of: parsed.uuid) { Array($0) }
    }
  }

  private func applyDisplay(to options: inout RunOptions) throws {
    for (name, given) in [("boot", boot != nil), ("firmware", firmware != nil)] where given && options.type == .pv {
      throw Failure.usage("--\(name): a pv guest has no BIOS; say --type hvm")
    }
    switch display {
    case nil, "none": break
    case "terminal":
      guard options.type == .hvm else { throw Failure.usage("--display terminal: a \(options.type.rawValue) guest has no screen") }
      options.showsDisplay = true
    case let other?:
      if other.hasPrefix("vnc:") { throw Failure.usage("--display \(other) is not available yet: say terminal or none") }
      throw Failure.usage("--display '\(other)' is none of none, terminal")
    }
    guard let monitor else { return }
    guard monitor.hasPrefix("unix:"), monitor.count > 5 else { throw Failure.usage("--monitor '\(monitor)': say unix:PATH") }
    options.monitorPath = String(monitor.dropFirst(5))
  }

  private func commandLine(_ file: XLConfiguration?) throws -> String {
    if let cmdline { return cmdline }
    if let text = try file?.string("cmdline") { return text }
    var parts: [String] = []
    if let root = try file?.string("root") { parts.append("root=\(root)") }
    if let extra = try file?.string("extra") { parts.append(extra) }
    return parts.joined(separator: " ")
  }

  private func frameOrder() throws -> FrameChoice {
    if frames == "identity" { return .identity }
    if frames == "scattered" { return .scattered(seed: 1) }
    if frames.hasPrefix("scattered:"), let seed = UInt64(frames.dropFirst(10)) { return .scattered(seed: seed) }
    throw Failure.usage("--frames '\(frames)' is none of identity, scattered, scattered:SEED")
  }

  /// Clock, seed, start time and everything that depends on them.
  private func applyClock(to options: inout RunOptions) throws {
    let outside =
      !options.interfaces.isEmpty || (options.console == "stdio" && isatty(0) != 0) || options.console == "pty"
      || options.console.hasPrefix("unix:")
    if let clock {
      guard let mode = ClockMode(rawValue: clock) else { throw Failure.usage("--clock '\(clock)' is none of host, virtual") }
      options.clock = mode
    } else {
      options.clock = outside && options.engine != .lockstep ? .host : .virtual
    }
    if let tscHz {
      guard (1_000_000...100_000_000_000).contains(tscHz) else {
        throw Failure.usage("--tsc-hz \(tscHz): between 1000000 and 100000000000")
      }
      options.cyclesPerSecond = tscHz
    }
    if let startTime {
      let formatter = ISO8601DateFormatter()
      guard let date = formatter.date(from: startTime) else {
        throw Failure.usage("--start-time '\(startTime)' is not like 2026-01-01T00:00:00Z")
      }
      guard date.timeIntervalSince1970 >= 0 else { throw Failure.usage("--start-time: not before 1970") }
      // Nanoseconds since then in 64 bits, with room for the run.
      guard date.timeIntervalSince1970 < 16_725_225_600 else { throw Failure.usage("--start-time: not after 2499") }
      options.startTime = UInt64(date.timeIntervalSince1970) * 1_000_000_000
    } else if options.clock == .host {
      options.startTime = UInt64(Date().timeIntervalSince1970) * 1_000_000_000
    }
    if let seed {
      options.seed = seed
    } else if options.clock == .host {
      options.seed = UInt64.random(in: .min ... .max)
    } else {
      options.seed = options.name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
  }
}
