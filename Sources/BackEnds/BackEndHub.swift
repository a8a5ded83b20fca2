import HostLinks
import Storage
import Xenstore

/// All back ends of one domain and its connection to the store: what a machine puts together and calls.
///
/// A machine calls `complete` when an event that it queued for `GuestInterface.schedule` falls due, `drainConsole` on yield and at
/// the end, and hands sent events to whatever `GuestInterface.bindPort` registered.
public final class BackEndHub {
  public let guest: any GuestInterface
  public let store: Store
  public let toolstack: Toolstack
  public private(set) var console: ConsoleBackEnd?
  public private(set) var disks: [BlockBackEnd] = []
  public private(set) var cards: [NetworkBackEnd] = []
  public private(set) var connection: Connection?

  public init(guest: any GuestInterface, store: Store) {
    self.guest = guest
    self.store = store
    toolstack = Toolstack(store: store, domain: guest.domain)
  }

  /// Gives the domain its store: the page at a machine address, and the port that the guest finds in start_info.
  public func connectStore(address: UInt64, port: UInt32) -> Bool {
    let page = StorePage(guest: guest, address: address, port: port)
    guard page.bind({ [weak self] in self?.connection?.service() }) else { return false }
    connection = store.introduce(guest.domain, ring: page)
    return true
  }

  /// Gives the domain its console.
  public func connectConsole(address: UInt64, port: UInt32, sink: @escaping ([UInt8]) -> Void) -> Bool {
    let console = ConsoleBackEnd(guest: guest, address: address, port: port, sink: sink)
    guard console.bind() else { return false }
    self.console = console
    return true
  }

  /// Adds a disk: its directories in the store and its back end, which waits for the guest's driver.
  @discardableResult public func addDisk(_ configuration: BlockConfiguration, device: any BlockDevice) -> BlockBackEnd {
    let disk = BlockBackEnd(
      configuration, device: device, guest: guest, store: store, number: UInt32(truncatingIfNeeded: disks.count + 1))
    toolstack.describe(disk: configuration, isReadOnly: disk.isReadOnly)
    disks.append(disk)
    disk.start()
    return disk
  }

  /// Adds a network card.
  @discardableResult public func addCard(_ configuration: NetworkConfiguration, link: any NetworkLink) -> NetworkBackEnd {
    let card = NetworkBackEnd(configuration, link: link, guest: guest, store: store)
    toolstack.describe(vif: configuration)
    cards.append(card)
    card.start()
    return card
  }

  /// The cycle of a scheduled token has come, or the host has said that its request is done.
  public func complete(_ token: UInt64) {
    let number = token >> 32
    guard number >= 1, number <= UInt64(disks.count) else { return }
    disks[Int(number) - 1].complete(token)
  }

  /// The guest yields or is about to end: what it has written so far goes out.
  public func drainConsole() { console?.drain() }

  /// The domain is gone: every mapping is returned, the store forgets it.
  public func shutDown() {
    console?.drain()
    for disk in disks { disk.xenbus.stop() }
    for card in cards { card.xenbus.stop() }
    store.release(guest.domain)
  }

  public var diskStatistics: [BlockStatistics] { disks.map(\.statistics) }
  public var cardStatistics: [NetworkStatistics] { cards.map(\.statistics) }
}
