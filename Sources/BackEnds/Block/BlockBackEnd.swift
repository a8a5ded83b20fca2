import Devices
import Storage
import Xenstore

/// The back half of a virtual disk (io/blkif.h): takes requests off the guest's rings, carries them out on a `BlockDevice` and
/// answers them, each at the cycle that was fixed when it was made (or when the host is done, on the host's clock).
public final class BlockBackEnd {
  public let configuration: BlockConfiguration
  public private(set) var device: any BlockDevice
  public internal(set) var statistics: BlockStatistics
  let guest: any GuestInterface
  let store: Store
  /// High half of this device's tokens.
  let number: UInt32
  var xenbus: XenbusDevice!
  var queues: [BlockQueue] = []
  var grants: GrantCache
  var layout = BlockRingLayout.x8664
  /// Requests under way by token. Looked up, walked in order of token only.
  var inFlight: [UInt64: BlockInFlight] = [:]
  private var sequence: UInt32 = 0

  /// - Parameters:
  ///   - number: distinct among the devices of a hub: it makes the tokens of `schedule` distinct.
  init(
    _ configuration: BlockConfiguration, device: any BlockDevice, guest: any GuestInterface, store: Store, number: UInt32
  ) {
    self.configuration = configuration
    self.device = device
    self.guest = guest
    self.store = store
    self.number = number
    statistics = BlockStatistics(dev: configuration.name)
    grants = GrantCache(guest: guest, isPersistent: false)
    let front = Toolstack.frontPath(guest.domain, "vbd", configuration.virtualDevice)
    let back = Toolstack.backPath(guest.domain, "vbd", configuration.virtualDevice)
    xenbus = XenbusDevice(
      store: store, frontPath: front, backPath: back, readyStates: [.initialised, .connected], owner: self)
  }

  var isReadOnly: Bool { configuration.isReadOnly || configuration.isCDROM || device.isReadOnly }
  var offersDiscard: Bool { device.supportsDiscard && !isReadOnly }

  /// Writes what this back end can do and waits for the front end.
  public func start() {
    offer("feature-barrier", 1)
    offer("feature-flush-cache", 1)
    offer("feature-persistent", configuration.persistentGrants ? 1 : 0)
    offer("feature-max-indirect-segments", configuration.maximumIndirectSegments)
    offer("max-ring-page-order", configuration.maximumRingPageOrder)
    offer("multi-queue-max-queues", configuration.maximumQueues)
    xenbus.start()
  }

  private func offer(_ key: String, _ value: Int) { store.write(xenbus.backPath + "/" + key, String(value)) }

  func nextToken() -> UInt64 {
    sequence &+= 1
    return UInt64(number) << 32 | UInt64(sequence)
  }

  /// Puts other contents under the disk, as a changed medium: requests that come later see it.
  public func replaceDevice(_ other: any BlockDevice) {
    device = other
    writeGeometry()
    xenbus.announce()
  }

  /// The image has another size now: the guest looks again.
  public func sizeChanged() {
    writeGeometry()
    xenbus.announce()
  }

  func writeGeometry() {
    // Always in units of 512 bytes, whole sectors of the device.
    let size = device.sizeInBytes - device.sizeInBytes % UInt64(max(device.sectorSize, 512))
    store.write(xenbus.backPath + "/sectors", String(size / 512))
    store.write(xenbus.backPath + "/info", String(info))
    store.write(xenbus.backPath + "/sector-size", String(device.sectorSize))
    store.write(xenbus.backPath + "/physical-sector-size", String(max(device.sectorSize, 4096)))
    guard offersDiscard else { return }
    store.write(xenbus.backPath + "/feature-discard", "1")
    store.write(xenbus.backPath + "/discard-granularity", String(max(device.sectorSize, 4096)))
    store.write(xenbus.backPath + "/discard-alignment", "0")
    store.write(xenbus.backPath + "/discard-secure", "0")
  }

  /// VDISK_CDROM, VDISK_REMOVABLE, VDISK_READONLY.
  private var info: Int {
    (configuration.isCDROM ? 1 : 0) | (configuration.isRemovable ? 2 : 0) | (isReadOnly ? 4 : 0)
  }
}

extension BlockBackEnd: XenbusBackEnd {
  func connect() throws(ConnectFailure) {
    guard let layout = BlockRingLayout.named(store.read(xenbus.frontPath + "/protocol")) else {
      throw ConnectFailure("protocol is neither x86_64-abi nor x86_32-abi")
    }
    self.layout = layout
    let queueCount = xenbus.frontNumber("multi-queue-num-queues") ?? 1
    guard queueCount >= 1, queueCount <= UInt32(max(configuration.maximumQueues, 1)) else {
      throw ConnectFailure("multi-queue-num-queues is \(queueCount)")
    }
    grants = GrantCache(
      guest: guest, isPersistent: configuration.persistentGrants && xenbus.frontFlag("feature-persistent"))
    let order = xenbus.frontNumber("ring-page-order")
    guard order ?? 0 <= UInt32(configuration.maximumRingPageOrder) else {
      throw ConnectFailure("ring-page-order is \(order ?? 0)")
    }
    do throws(ConnectFailure) {
      for index in 0..<queueCount { try connectQueue(queueCount == 1 ? "" : "queue-\(index)/", order) }
    } catch {
      disconnect()
      throw error
    }
    writeGeometry()
    // Requests may have been made before anybody listened.
    for queue in queues { service(queue) }
  }

  private func connectQueue(_ prefix: String, _ order: UInt32?) throws(ConnectFailure) {
    var references: [UInt32] = []
    let keys = order == nil ? ["ring-ref"] : (0..<(1 << (order ?? 0))).map { "ring-ref\($0)" }
    for key in keys {
      guard let reference = xenbus.frontNumber(prefix + key) else { throw ConnectFailure("\(prefix)\(key) is missing") }
      references.append(reference)
    }
    guard let port = xenbus.frontNumber(prefix + "event-channel") else {
      throw ConnectFailure("\(prefix)event-channel is missing")
    }
    guard let pages = SharedPages.map(guest, references) else { throw ConnectFailure("a ring page is not granted") }
    let queue = BlockQueue(index: queues.count, ring: BackRing(pages: pages, slotSize: layout.requestSize))
    queue.port = guest.bindPort(port) { [weak self, weak queue] in if let queue { self?.service(queue) } }
    guard queue.port != nil else {
      pages.unmap()
      throw ConnectFailure("event channel \(port) is not offered to domain 0")
    }
    queues.append(queue)
  }

  func disconnect() {
    for token in inFlight.keys.sorted() {
      guard let request = inFlight[token] else { continue }
      // The image may hold on to buffers, never to guest memory: only the mappings are ours to return.
      _ = request.host.wait()
      for target in request.targets { grants.release(target.use) }
    }
    inFlight = [:]
    for queue in queues {
      if let port = queue.port { guest.unbindPort(port) }
      queue.ring.pages.unmap()
    }
    queues = []
    grants.dropAll()
  }
}

/// One ring with its event channel.
final class BlockQueue {
  let index: Int
  var port: PortBinding?
  var ring: BackRing

  init(index: Int, ring: BackRing) {
    self.index = index
    self.ring = ring
  }
}

/// A request between its submission and its response.
struct BlockInFlight {
  /// Where read data goes: bytes of a page, mapped until the response.
  struct Target {
    var use: GrantCache.Use
    var bytes: Range<Int>
  }
  unowned var queue: BlockQueue
  var id: UInt64
  var operation: UInt8
  var targets: [Target]
  var host: HostRequest
}
