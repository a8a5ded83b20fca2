import CHost
import Devices
import Foundation
import GuestMemory
import HostLinks
import Hypervisor
import Processor

// How a PV machine is put together from its options. Every error is the user's or the host's, in one line.

extension PVMachine {
  /// Builds a machine that is ready to run.
  ///
  /// - Parameter say: Paravane's own words, for standard error.
  public static func make(options: RunOptions, say: @escaping @Sendable (String) -> Void) throws -> PVMachine {
    let machine = try make(options: options, console: nil, say: say)
    if !options.quiet { say("engine: \(machine.engine.rawValue)\(machine.engineReason); clock: \(options.clock.rawValue)") }
    return machine
  }

  /// - Parameter console: instead of what the options name. Then the machine is one of lockstep's two: stepped, and with no writable
  ///   image.
  static func make(
    options: RunOptions, console: (any ConsoleLink)?, say: @escaping @Sendable (String) -> Void
  ) throws -> PVMachine {
    let kernel = try loadKernel(options.kernel, cache: options.kernelCache.map { KernelCache(directory: $0) })
    let ramdisk = try options.ramdisk.map { try readFile($0, what: "ramdisk") }
    let machine = try PVMachine(options: options)
    machine.logger = { text in if options.verbose > 0 { say(text) } }
    machine.isStepped = console != nil
    try machine.assemble(kernel: kernel, ramdisk: ramdisk, console: console, say: say)
    return machine
  }

  private static func loadKernel(_ path: String, cache: KernelCache?) throws -> KernelImage {
    let bytes = try readFile(path, what: "kernel")
    do {
      return try KernelImage.load(bytes, cache: cache)
    } catch {
      throw MachineError(status: error == .compressed(.outOfMemory) ? 69 : 65, message: "\(path): \(error)")
    }
  }

  private func assemble(
    kernel: KernelImage, ramdisk: [UInt8]?, console: (any ConsoleLink)?, say: @escaping @Sendable (String) -> Void
  ) throws {
    let pages = options.memory * 256
    let frames: FrameTable
    do {
      frames = try FrameTable(memory: memory, guestPages: pages, order: options.frames)
    } catch {
      throw MachineError(status: 69, message: "memory \(options.memory) MiB is more than this machine can model: \(error)")
    }
    vcpu = VCPU(memory: memory)
    vcpu.seed(options.seed)
    try chooseEngine()
    timers = [Array(repeating: nil, count: TimerKind.allCases.count)]
    domain = Domain(id: DomainID(1), memory: memory, frames: frames, initialPages: pages, services: self)
    domain.uuid = options.uuid
    do {
      domain.policy = try CPUPolicy(parsing: options.cpu)
    } catch {
      throw MachineError(status: 64, message: "--cpu \(options.cpu): \(error)")
    }
    let v = PVCPU(id: 0, vcpu: vcpu)
    domain.vcpus = [v]
    v.installArchitecture(domain)
    domain.serveExits(of: v)
    let storePort = domain.events.allocateUnbound(remote: .control)
    let consolePort = domain.events.allocateUnbound(remote: .control)
    let start: StartOfDay
    do {
      start = try DomainBuilder().build(
        domain: domain, kernel: kernel, ramdisk: ramdisk, commandLine: options.commandLine, storePort: storePort, consolePort: consolePort)
    } catch {
      // What does not fit was asked for wrongly; the kernel itself has been found good.
      let status: Int32
      switch error {
      case .layout, .commandLineTooLong, .commandLineHasNul: status = 64
      case .noXenFrame, .tablesRefused, .noVCPU: status = 70
      }
      throw MachineError(status: status, message: "\(options.kernel): \(error)")
    }
    domain.updateTime(v)
    if let path = options.hypercallTracePath {
      guard let trace = HypercallTrace(path: path, cyclesPerSecond: options.cyclesPerSecond) else {
        throw MachineError(status: 66, message: "\(path): the trace cannot be written")
      }
      self.trace = trace
      domain.hypercallTrace = { v, number, arguments, result in
        trace.record(number, arguments, cycle: v.vcpu.now, vcpu: v.id, result: result)
      }
    }
    try connectBackEnds(start, storePort: storePort, consolePort: consolePort, console: console, say: say)
    try startMonitor()
    startTimeout()
  }
}
