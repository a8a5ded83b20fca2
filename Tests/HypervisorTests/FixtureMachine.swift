import CHost
import Devices
import Foundation
import GuestMemory
import Processor

@testable import Hypervisor

/// The least machine that runs a fixture: processor, hypervisor, a queue of timers, and a back end that empties the console
/// ring whenever the guest rings. Everything happens in guest time, so a run is the same every time.
final class FixtureMachine: DomainServices {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  static let fixtures = root.appending(path: ".build-fixtures")

  /// The bytes of a fixture; nil if it has not been built (make -C Fixtures).
  static func image(_ name: String) -> [UInt8]? {
    (try? Data(contentsOf: fixtures.appending(path: name))).map { [UInt8]($0) }
  }

  let memory: MachineMemory
  private(set) var domain: Domain!
  private(set) var start: StartOfDay!
  private var queue = EventQueue()
  private var timers: [Int: UInt64] = [:]
  private(set) var ring: [UInt8] = []
  private(set) var emergency: [UInt8] = []
  private(set) var notes: [String] = []
  let cyclesPerSecond: UInt64 = 1_000_000_000
  let wallClockAtStart: UInt64 = 1_767_225_600_000_000_000
  private let consolePort: UInt32

  /// A guest as record-xen.sh makes them: 64 MiB, two vCPUs of which the first runs, a ramdisk of 5000 bytes.
  init(
    _ kernel: [UInt8], commandLine: String = "", order: FrameOrder = .identity, megabytes: Int = 64, served: Bool = true,
    translating: Bool = false
  )
    throws
  {
    let pages = megabytes * 256
    memory = try MachineMemory(frameCount: FrameTable.machineFramesNeeded(guestPages: pages, order: order))
    let frames = try FrameTable(memory: memory, guestPages: pages, order: order)
    // The boot vCPU is the last to be made: the decoded code of a frame has one keeper.
    let second = PVCPU(id: 1, vcpu: VCPU(memory: memory))
    let boot = PVCPU(id: 0, vcpu: VCPU(memory: memory))
    consolePort = 2
    domain = Domain(id: DomainID(1), memory: memory, frames: frames, initialPages: pages, services: self)
    second.up = false
    second.initialised = false
    domain.vcpus = [boot, second]
    for v in domain.vcpus { v.installArchitecture(domain) }
    if served { domain.serveExits(of: boot) }
    if translating { _ = boot.vcpu.enableTranslator() }
    let store = domain.events.allocateUnbound(remote: .control)
    let console = domain.events.allocateUnbound(remote: .control)
    start = try DomainBuilder().build(
      domain: domain, kernel: KernelImage.load(kernel), ramdisk: [UInt8](repeating: 0, count: 5000), commandLine: commandLine,
      storePort: store, consolePort: console)
    _ = domain.grants.grow(to: 1)
    domain.grants.setEntry(ref: 0, flags: 1, domid: .control, frame: start.consoleFrame)
    domain.grants.setEntry(ref: 1, flags: 1, domid: .control, frame: start.storeFrame)
    _ = domain.events.bindBackEnd(port: console, tag: 1)
  }

  /// Runs to the guest's end, or until a cycle; what became of it.
  @discardableResult func run(cycles limit: Cycles = 2_000_000_000) -> DomainEnd? {
    let v = domain.vcpus[0]
    while domain.ended == nil && v.vcpu.now < limit {
      while let event = queue.pop(dueAt: v.vcpu.now) {
        timers[Int(event.target)] = nil
        guard let kind = TimerKind(rawValue: Int(event.payload)) else { continue }
        domain.timerFired(vcpu: Int(event.target) / 8, kind: kind)
      }
      if v.blocked {
        let now = v.vcpu.now
        v.vcpu.advance(cycles: max(queue.nextDue ?? limit, now) - now)
        continue
      }
      domain.deliverPendingUpcall(v)
      if domain.ended != nil { break }
      let exit = v.vcpu.run(until: min(queue.nextDue ?? limit, limit))
      if exit != .deadline { domain.handle(exit, v) }
    }
    return domain.ended
  }

  /// What the guest wrote to its console ring.
  var text: String { String(decoding: ring, as: UTF8.self) }

  // MARK: DomainServices

  var now: Cycles { domain?.vcpus[0].vcpu.now ?? 0 }

  func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?) {
    let key = vcpu * 8 + kind.rawValue
    if let old = timers[key] { queue.cancel(old) }
    timers[key] = cycle.map { queue.schedule(at: $0, target: UInt32(key), payload: UInt64(kind.rawValue)) }
  }

  func consoleWrite(_ bytes: [UInt8]) { emergency += bytes }

  /// Takes what the ring holds (xen/include/public/io/console.h: out[2048] at 0x400, out_cons at 0xc08, out_prod at 0xc0c).
  func eventSent(port: UInt32) {
    guard port == consolePort else { return }
    let base = start.consoleFrame << 12
    guard var taken: UInt32 = memory.load(base + 0xC08), let made: UInt32 = memory.load(base + 0xC0C), made &- taken <= 2048 else {
      return
    }
    while taken != made {
      if let byte: UInt8 = memory.load(base + 0x400 + UInt64(taken & 2047)) { ring.append(byte) }
      taken &+= 1
    }
    memory.store(taken, at: base + 0xC08)
  }

  func domainEnded(_ reason: DomainEnd) {}
  func log(_ message: @autoclosure () -> String) { notes.append(message()) }
}
