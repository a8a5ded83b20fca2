import BackEnds
import Configuration
import Devices
import Foundation
import HostLinks
import Hypervisor
import Storage
import Xenstore

// The devices of a PV guest: store, console, disks, network cards, and what they lead to on the host.

/// What a machine's devices are made of.
final class MachineDevices {
  let guest: DomainGuest
  let hub: BackEndHub
  let console: any ConsoleLink
  var cards: [NetworkBackEnd] = []
  var links: [any NetworkLink] = []

  init(guest: DomainGuest, hub: BackEndHub, console: any ConsoleLink) {
    self.guest = guest
    self.hub = hub
    self.console = console
  }
}

extension PVMachine {
  func connectBackEnds(
    _ start: StartOfDay, storePort: UInt32, consolePort: UInt32, console given: (any ConsoleLink)?,
    say: @escaping @Sendable (String) -> Void
  ) throws {
    let mailbox = self.mailbox
    let post: @Sendable (UInt64) -> Void = { mailbox.post(.diskCompletion(token: $0)) }
    let hostIsDone = options.clock == .host ? post : nil
    let guest = DomainGuest(
      domain, schedule: { [unowned self] cycle, token in queue.schedule(at: cycle, target: EventTarget.backEnd, payload: token) },
      hostIsDone: hostIsDone)
    let hub = BackEndHub(guest: guest, store: Store())
    let console = try makeConsole(given, say)
    devices = MachineDevices(guest: guest, hub: hub, console: console)
    domain.grants.setEntry(ref: 0, flags: 1, domid: .control, frame: start.consoleFrame)
    domain.grants.setEntry(ref: 1, flags: 1, domid: .control, frame: start.storeFrame)
    var description = Toolstack.DomainDescription(
      name: options.name, uuid: uuidText(options.uuid), memoryKiB: UInt64(options.memory) * 1024)
    description.storePort = storePort
    description.storeFrame = start.storeFrame
    description.consolePort = consolePort
    description.consoleFrame = start.consoleFrame
    hub.toolstack.describe(description)
    consoleOutput = { console.write($0) }
    guard hub.connectStore(address: start.storeFrame << 12, port: storePort),
      hub.connectConsole(address: start.consoleFrame << 12, port: consolePort, sink: { console.write($0) })
    else { throw MachineError(status: 70, message: "the store or the console could not be connected") }
    for disk in options.disks { try addDisk(disk, hub) }
    for (index, interface) in options.interfaces.enumerated() { try addCard(interface, index, hub) }
    try listen(to: console)
    liveOutside = console.isInteractive || options.interfaces.contains { $0.link != .none }
  }

  private func addDisk(_ disk: DiskSpecification, _ hub: BackEndHub) throws {
    guard let number = disk.virtualDevice else { throw MachineError(status: 64, message: "no such device: \(disk.device)") }
    guard !hub.disks.contains(where: { $0.configuration.virtualDevice == number }) else {
      throw MachineError(status: 64, message: "two disks are called \(disk.device); give one another name, for example xvdb")
    }
    var configuration = BlockConfiguration(name: disk.device, virtualDevice: number)
    configuration.isCDROM = disk.isCDROM
    configuration.isRemovable = disk.isCDROM
    configuration.isReadOnly = disk.readOnly
    hub.addDisk(configuration, device: try openImage(disk))
  }

  private func addCard(_ interface: NetworkSpecification, _ index: Int, _ hub: BackEndHub) throws {
    var configuration = NetworkConfiguration(
      name: "eth\(index)", handle: UInt32(index), mac: interface.mac ?? macAddress(seed: options.seed, index: index))
    if let mtu = interface.mtu { configuration.mtu = mtu }
    let link = try makeLink(interface, index)
    devices.links.append(link)
    devices.cards.append(hub.addCard(configuration, link: link))
  }

  func shutDownLinks() {
    devices.hub.drainConsole()
    devices.console.stop()
    for link in devices.links { (link as? UserNetworkLink)?.stop() }
  }

  /// What the guest wrote is in the images, also what it never flushed.
  func closeDisks() {
    for disk in devices.hub.disks {
      do { try disk.device.close() } catch { logger("\(error)") }
    }
  }

  func collectDeviceStatistics() {
    statistics.vbd = devices.hub.diskStatistics.map { Statistics.Disk($0) }
    statistics.vif = devices.hub.cardStatistics.map { Statistics.Network($0) }
  }
}

/// 8-4-4-4-12 digits of 16 bytes.
func uuidText(_ bytes: [UInt8]) -> String {
  let digits = bytes.map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }
  return [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }.joined(separator: "-")
}

/// A MAC address of Xen's range, made from the seed.
func macAddress(seed: UInt64, index: Int) -> [UInt8] {
  var x = seed &+ UInt64(index + 1) &* 0x9E37_79B9_7F4A_7C15
  x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
  x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
  return [0, 0x16, 0x3E, UInt8(truncatingIfNeeded: x >> 8) & 0x7F, UInt8(truncatingIfNeeded: x >> 16), UInt8(truncatingIfNeeded: x >> 24)]
}
