import Devices
import HostLinks
import Xenstore

/// The back half of a virtual network card (io/netif.h): frames are copied out of the guest's pages when it sends and into its
/// buffers when they arrive, in the cycle in which that happens.
public final class NetworkBackEnd {
  public let configuration: NetworkConfiguration
  public internal(set) var statistics: NetworkStatistics
  /// Whether frames pass: an unplugged cable.
  public var isLinkUp = true
  let link: any NetworkLink
  let guest: any GuestInterface
  let store: Store
  var xenbus: XenbusDevice!
  var queues: [NetworkQueue] = []
  /// Frames are coming in a row: they are put into the guest's buffers after the last.
  var isGathering = false
  /// The guest takes TCP packets that several frames were joined into.
  var joinsSegments = false

  init(_ configuration: NetworkConfiguration, link: any NetworkLink, guest: any GuestInterface, store: Store) {
    self.configuration = configuration
    self.link = link
    self.guest = guest
    self.store = store
    statistics = NetworkStatistics(dev: configuration.name)
    let front = Toolstack.frontPath(guest.domain, "vif", configuration.handle)
    let back = Toolstack.backPath(guest.domain, "vif", configuration.handle)
    xenbus = XenbusDevice(
      store: store, frontPath: front, backPath: back, readyStates: [.initialised, .connected], owner: self)
    link.receive = { [weak self] in self?.arrived($0) }
  }

  /// Writes what this back end can do and waits for the front end.
  public func start() {
    offer("feature-sg", 1)
    offer("feature-gso-tcpv4", configuration.offersSegmentation ? 1 : 0)
    offer("feature-gso-tcpv6", configuration.offersSegmentation ? 1 : 0)
    offer("feature-ipv6-csum-offload", 1)
    offer("feature-rx-copy", 1)
    offer("feature-rx-flip", 0)
    offer("feature-split-event-channels", configuration.splitEventChannels ? 1 : 0)
    offer("multi-queue-max-queues", max(configuration.maximumQueues, 1))
    xenbus.start()
  }

  private func offer(_ key: String, _ value: Int) { store.write(xenbus.backPath + "/" + key, String(value)) }
}

extension NetworkBackEnd: XenbusBackEnd {
  func connect() throws(ConnectFailure) {
    guard xenbus.frontFlag("request-rx-copy") else { throw ConnectFailure("request-rx-copy is not 1") }
    guard xenbus.frontFlag("feature-rx-notify") else { throw ConnectFailure("feature-rx-notify is not 1") }
    let queueCount = xenbus.frontNumber("multi-queue-num-queues") ?? 1
    guard queueCount >= 1, queueCount <= UInt32(max(configuration.maximumQueues, 1)) else {
      throw ConnectFailure("multi-queue-num-queues is \(queueCount)")
    }
    do throws(ConnectFailure) {
      for index in 0..<queueCount { try connectQueue(queueCount == 1 ? "" : "queue-\(index)/") }
    } catch {
      disconnect()
      throw error
    }
    joinsSegments =
      xenbus.frontFlag("feature-sg") && xenbus.frontFlag("feature-gso-tcpv4") && !xenbus.frontFlag("feature-no-csum-offload")
    // Buffers may have been posted, and requests made, before anybody listened.
    for queue in queues { serviceReceive(queue) }
    for queue in queues { serviceTransmit(queue) }
  }

  private func connectQueue(_ prefix: String) throws(ConnectFailure) {
    func number(_ key: String) throws(ConnectFailure) -> UInt32 {
      guard let value = xenbus.frontNumber(prefix + key) else { throw ConnectFailure("\(prefix)\(key) is missing") }
      return value
    }
    let transmitReference = try number("tx-ring-ref")
    let receiveReference = try number("rx-ring-ref")
    let transmitPort: UInt32
    let receivePort: UInt32
    if let port = xenbus.frontNumber(prefix + "event-channel") {
      (transmitPort, receivePort) = (port, port)
    } else {
      transmitPort = try number("event-channel-tx")
      receivePort = try number("event-channel-rx")
    }
    guard let pages = SharedPages.map(guest, [transmitReference, receiveReference]) else {
      throw ConnectFailure("a ring page is not granted")
    }
    let transmitPages = SharedPages(guest: guest, pages: [pages.pages[0]])
    let receivePages = SharedPages(guest: guest, pages: [pages.pages[1]])
    let queue = NetworkQueue(
      transmit: BackRing(pages: transmitPages, slotSize: TransmitRequest.slotSize),
      receive: BackRing(pages: receivePages, slotSize: 8))
    let isSplit = transmitPort != receivePort
    queue.transmitPort = guest.bindPort(transmitPort) { [weak self, weak queue] in
      guard let self, let queue else { return }
      if !isSplit { self.serviceReceive(queue) }
      self.serviceTransmit(queue)
    }
    guard let bound = queue.transmitPort else {
      pages.unmap()
      throw ConnectFailure("event channel \(transmitPort) is not offered to domain 0")
    }
    queue.receivePort = bound
    if isSplit {
      queue.receivePort = guest.bindPort(receivePort) { [weak self, weak queue] in
        if let queue { self?.serviceReceive(queue) }
      }
    }
    guard queue.receivePort != nil else {
      guest.unbindPort(bound)
      pages.unmap()
      throw ConnectFailure("event channel \(receivePort) is not offered to domain 0")
    }
    queues.append(queue)
  }

  func disconnect() {
    for queue in queues {
      if let port = queue.transmitPort { guest.unbindPort(port) }
      if let port = queue.receivePort, port != queue.transmitPort { guest.unbindPort(port) }
      queue.transmit.pages.unmap()
      queue.receive.pages.unmap()
    }
    queues = []
  }

  /// The guest did what no correct driver does.
  func giveUp(_ why: String) {
    guest.log("vif \(configuration.name): \(why); the card is given up")
    xenbus.fail(why)
  }
}

/// A pair of rings with its event channels.
final class NetworkQueue {
  var transmit: BackRing
  var receive: BackRing
  var transmitPort: PortBinding?
  var receivePort: PortBinding?
  /// Frames that wait for the guest's buffers.
  var arrived: [ArrivedFrame] = []

  init(transmit: BackRing, receive: BackRing) {
    self.transmit = transmit
    self.receive = receive
  }
}
