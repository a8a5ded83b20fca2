import CHost
import Devices
import GuestMemory
import HostLinks
import Hypervisor
import Motherboard
import Processor
import Storage

/// A guest on a legacy PC (`--type hvm`): a BIOS, the chips of an i440FX motherboard, nothing of Xen's.
public final class PCMachine: GuestMachine {
  let board: Board
  let map: MemoryMap
  var parts: PCParts!
  var policy: CPUPolicy
  /// HLT until an interrupt.
  var isHalted = false
  var ending: Ending?
  var console: (any ConsoleLink)?
  var links: [any NetworkLink] = []
  var images: [any BlockDevice] = []
  /// Content of the ROM area's RAM while ROM shows there, and of the ROM.
  var shadow = ShadowMemory()
  /// Where the BIOS's flash is, below 4 GiB.
  var flash: Range<UInt64> = 0..<0
  var counters = ExitCounters()
  /// The screen on the terminal, and what is typed there as keys.
  var display: TerminalDisplay?
  var typist: TerminalTypist?

  /// Where the windows of PCI devices end at the latest.
  static let devicesEnd: UInt64 = 0xFEC0_0000

  enum Ending {
    case powerOff
    case reset(byTripleFault: Bool)
  }

  struct ExitCounters {
    var port: UInt64 = 0
    var memory: UInt64 = 0
    var event: UInt64 = 0
  }

  init(options: RunOptions) throws {
    map = MemoryMap(bytes: UInt64(options.memory) << 20)
    do {
      policy = try CPUPolicy(parsing: options.cpu)
    } catch {
      throw MachineError(status: 64, message: "--cpu \(options.cpu): \(error)")
    }
    // The flash ends at 4 GiB.
    let frames = Int(max(map.end, MemoryMap.fourGiB) >> 12)
    let memory = try MachineMemory(frameCount: frames)
    board = Board(memory: memory, cyclesPerSecond: options.cyclesPerSecond, startTime: options.startTime)
    super.init(options: options, memory: memory)
  }

  // MARK: - The run loop's questions

  override var nextDue: Cycles? { board.queue.nextDue }
  override var queuedEvents: Int { board.queue.count }
  override func dispatchDue() { board.dispatchDue() }
  override var hasEnded: Bool { ending != nil }

  override var isWaiting: Bool {
    guard isHalted else { return false }
    return !(vcpu.interruptRequested && vcpu.takesInterrupts) && !(vcpu.nonMaskableRequested && vcpu.takesNonMaskable)
  }

  override func deliverPending() { isHalted = false }

  override func handle(_ exit: Exit) {
    switch exit {
    case .interruptWindow: takeInterrupt()
    case .halt: isHalted = true
    case .tripleFault: ending = .reset(byTripleFault: true)
    default: break
    }
  }

  private func takeInterrupt() {
    counters.event &+= 1
    var exit: Exit?
    if vcpu.nonMaskableRequested && vcpu.takesNonMaskable {
      vcpu.nonMaskableRequested = false
      exit = vcpu.deliverNonMaskable()
    } else if vcpu.interruptRequested && vcpu.takesInterrupts {
      if let vector = parts.interrupts.acknowledge() {
        exit = vcpu.deliver(interrupt: vector)
      } else {
        // Nobody asks any more; the window would stay open for ever.
        vcpu.interruptRequested = false
      }
    }
    if exit == .tripleFault { ending = .reset(byTripleFault: true) }
  }

  override func beginInputs() { for card in parts.cards { card.beginArrivals() } }
  override func endInputs() { for card in parts.cards { card.endArrivals() } }
  override func backEndCompletion(_ token: UInt64) { board.hostCompleted(token) }
  override func feedConsole(_ bytes: [UInt8]) {
    if let typist { typist.type(bytes) } else { parts.serial.receive(bytes) }
  }

  override func receivePacket(vif: Int, frame: [UInt8]) {
    guard links.indices.contains(vif) else { return }
    links[vif].receive?(frame)
  }

  override func askForPowerOff() -> Bool {
    parts.power.pressPowerButton()
    return true
  }

  override func dumpScreen(to path: String) -> String? {
    do {
      try parts.vga.picture().writePNG(path)
      return nil
    } catch {
      return "\(path): the picture cannot be written: \(error.localizedDescription)"
    }
  }

  override func press(_ keys: [String]) -> String? {
    guard let codes = ScanCodes.chord(keys) else { return "there is no such key among \(keys.joined(separator: ", "))" }
    parts.keyboard.receive(scanCodes: codes)
    return nil
  }

  override func resetByHand() -> String? {
    ending = .reset(byTripleFault: false)
    return nil
  }

  override func close() {
    display?.stop()
    parts.serial.flush()
    parts.system.flush()
    console?.stop()
    for link in links { (link as? UserNetworkLink)?.stop() }
    closeDisks()
  }

  override func platformOutcome() -> Outcome {
    switch ending {
    case .powerOff: Outcome(ending: .poweroff, status: 0)
    case .reset(let byTripleFault):
      Outcome(
        ending: .reboot, status: 4, report: byTripleFault ? "paravane: the guest's processor shut down (triple fault): a reset\n" : nil)
    case nil: Outcome(ending: .crash, status: 70)
    }
  }

  override func collectPlatformStatistics() {
    statistics.type = GuestType.hvm.rawValue
    statistics.exits.port = counters.port
    statistics.exits.mmio = counters.memory
    statistics.exits.event = counters.event
    collectDeviceStatistics()
  }

  override func digestPlatform(_ digest: inout StateDigest) {
    digest.update(isHalted ? 1 : 0)
    digest.update(vcpu.interruptRequested ? 1 : 0)
    for (name, state) in parts.savedStates() {
      digest.update(name)
      state.withUnsafeBytes { digest.update($0) }
    }
    digest.update(UInt64(queuedEvents))
    digest.update(nextDue ?? 0)
  }
}
