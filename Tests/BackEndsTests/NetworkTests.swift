import HostLinks
import Random
import Testing
import Xenstore

@testable import BackEnds

/// A link that keeps what it is given.
final class MemoryLink: NetworkLink {
  var sent: [[UInt8]] = []
  var receive: (([UInt8]) -> Void)?
  var acceptsUnfinishedChecksums = false
  var acceptsLargeSegments = false
  var flushes = 0
  func send(_ frame: [UInt8]) { sent.append(frame) }
  func flush() { flushes += 1 }
}

/// A network card's front end over a fake guest.
final class FrontCard {
  let guest: FakeGuest
  let store = Store()
  let hub: BackEndHub
  let card: NetworkBackEnd
  let link = MemoryLink()
  let front = "/local/domain/1/device/vif/0"
  let back = "/local/domain/0/backend/vif/1/0"
  var transmit: [FrontRing] = []
  var receive: [FrontRing] = []
  /// Buffers posted, by id.
  var buffers: [UInt16: Int] = [:]

  init(guest: FakeGuest = FakeGuest(), _ adjust: (inout NetworkConfiguration) -> Void = { _ in }) {
    self.guest = guest
    hub = BackEndHub(guest: guest, store: store)
    hub.toolstack.describe(Toolstack.DomainDescription(name: "test", uuid: "u", memoryKiB: 1024))
    var configuration = NetworkConfiguration(name: "eth0", handle: 0, mac: [0, 0x16, 0x3E, 1, 2, 3])
    adjust(&configuration)
    card = hub.addCard(configuration, link: link)
  }

  func write(_ key: String, _ value: String) { try! store.write(front + "/" + key, Array(value.utf8), as: Store.Caller(1)) }
  var backState: String? { store.read(back + "/state") }

  func connect(queues: Int = 1, split: Bool = true) {
    if queues > 1 { write("multi-queue-num-queues", String(queues)) }
    for queue in 0..<queues {
      let prefix = queues == 1 ? "" : "queue-\(queue)/"
      let tx = guest.grantPage()
      let rx = guest.grantPage()
      write(prefix + "tx-ring-ref", String(tx.reference))
      write(prefix + "rx-ring-ref", String(rx.reference))
      transmit.append(FrontRing(guest, pages: [tx.page], slotSize: 12))
      receive.append(FrontRing(guest, pages: [rx.page], slotSize: 8))
      let port = UInt32(20 + 2 * queue)
      guest.offeredPorts.insert(port)
      guest.offeredPorts.insert(port + 1)
      if split {
        write(prefix + "event-channel-tx", String(port))
        write(prefix + "event-channel-rx", String(port + 1))
      } else {
        write(prefix + "event-channel", String(port))
      }
    }
    for key in ["request-rx-copy", "feature-rx-notify", "feature-sg", "feature-gso-tcpv4"] { write(key, "1") }
    write("state", "4")
  }

  func slot(_ reference: UInt32, offset: UInt16 = 0, flags: UInt16 = 0, id: UInt16, size: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(little: reference)
    bytes.append(little: offset)
    bytes.append(little: flags)
    bytes.append(little: id)
    bytes.append(little: UInt16(size))
    return bytes
  }

  /// Puts slots on the transmit ring and returns (id, status) of the answers.
  @discardableResult func send(_ slots: [[UInt8]], queue: Int = 0) -> [[Int]] {
    for slot in slots { transmit[queue].put(slot) }
    transmit[queue].push()
    guest.send(UInt32(20 + 2 * queue))
    return transmit[queue].take(4).map { [Int($0.u16(0)), Int(Int16(bitPattern: $0.u16(2)))] }
  }

  /// A frame in as many pages as it takes, `piece` bytes each.
  func slots(of frame: [UInt8], flags: UInt16 = 0, piece: Int = 4096, extra: [UInt8]? = nil) -> [[UInt8]] {
    var slots: [[UInt8]] = []
    var done = 0
    while done < frame.count {
      let size = min(piece, frame.count - done)
      let page = guest.grantPage(writable: false)
      let offset = min(100, 4096 - size)
      guest.store(Array(frame[done..<done + size]), at: page.page * 4096 + offset)
      var own = done == 0 ? flags : 0
      if done + size < frame.count { own |= 4 }
      if done == 0, extra != nil { own |= 8 }
      slots.append(
        slot(page.reference, offset: UInt16(offset), flags: own, id: UInt16(slots.count + 1), size: done == 0 ? frame.count : size))
      if done == 0, let extra { slots.append(extra) }
      done += size
    }
    return slots
  }

  func post(_ count: Int, queue: Int = 0, writable: Bool = true) {
    for _ in 0..<count {
      let page = guest.grantPage(writable: writable)
      let id = UInt16(buffers.count)
      buffers[id] = page.page
      var bytes: [UInt8] = []
      bytes.append(little: id)
      bytes.append(little: UInt16(0))
      bytes.append(little: page.reference)
      receive[queue].put(bytes)
    }
    receive[queue].push()
    guest.send(UInt32(21 + 2 * queue))
  }

  /// Frames that have come, with the flags of their first slots; a negative status gives an empty frame.
  func frames(queue: Int = 0) -> [(flags: UInt16, bytes: [UInt8])] {
    var result: [(flags: UInt16, bytes: [UInt8])] = []
    var isOpen = false
    for response in receive[queue].take(8) {
      let status = Int(Int16(bitPattern: response.u16(6)))
      let page = buffers[response.u16(0)] ?? 0
      let bytes = status > 0 ? guest.bytes(page, Int(response.u16(2))..<Int(response.u16(2)) + status) : []
      if isOpen { result[result.count - 1].bytes += bytes } else { result.append((response.u16(4), bytes)) }
      isOpen = response.u16(4) & 4 != 0
    }
    return result
  }
}

/// Frames made by hand.
enum Sample {
  static func ipv4(_ proto: UInt8, _ transport: [UInt8]) -> [UInt8] {
    let total = UInt16(20 + transport.count)
    var frame: [UInt8] = [2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 0]
    frame += [0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0x12, 0x34, 0x40, 0, 64, proto, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2]
    let sum = ~reference(Array(frame[14..<34]))
    frame[24] = UInt8(sum >> 8)
    frame[25] = UInt8(sum & 255)
    return frame + transport
  }

  static func ipv6(_ proto: UInt8, _ transport: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = [2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 0x86, 0xDD]
    frame += [0x60, 0, 0, 0, UInt8(transport.count >> 8), UInt8(transport.count & 255), proto, 64]
    frame += [UInt8](repeating: 0xFD, count: 16) + [UInt8](repeating: 0xFC, count: 16)
    return frame + transport
  }

  static func tcp(_ payload: [UInt8], flags: UInt8 = 0x18, sequence: UInt32 = 0xFFFF_F000) -> [UInt8] {
    var bytes: [UInt8] = [0x30, 0x39, 0, 80]
    for shift: UInt32 in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: sequence >> shift)) }
    bytes += [0, 0, 0, 1, 0x50, flags, 0x20, 0, 0, 0, 0, 0]
    return bytes + payload
  }

  static func udp(_ payload: [UInt8]) -> [UInt8] {
    let count = UInt16(8 + payload.count)
    return [0x30, 0x39, 0, 53, UInt8(count >> 8), UInt8(count & 255), 0, 0] + payload
  }

  /// The folded sum, the slow way.
  static func reference(_ bytes: [UInt8]) -> UInt16 {
    var sum = 0
    for index in bytes.indices { sum += index % 2 == 0 ? Int(bytes[index]) << 8 : Int(bytes[index]) }
    while sum > 0xFFFF { sum = (sum & 0xFFFF) + (sum >> 16) }
    return UInt16(sum)
  }

  /// Whether the transport checksum of an Ethernet frame over IPv4 or IPv6 without options is right.
  static func isRight(_ frame: [UInt8]) -> Bool {
    let isOld = frame[12] == 8
    let start = isOld ? 34 : 54
    let addresses = isOld ? Array(frame[26..<34]) : Array(frame[22..<54])
    let proto = isOld ? frame[23] : frame[20]
    let length = frame.count - start
    let pseudo = addresses + [0, proto, UInt8(length >> 8), UInt8(length & 255)]
    return reference(pseudo + frame[start...]) == 0xFFFF && (!isOld || reference(Array(frame[14..<34])) == 0xFFFF)
  }
}

struct NetworkTests {
  @Test(arguments: [true, false]) func framesGoOut(split: Bool) {
    let front = FrontCard { $0.splitEventChannels = split }
    #expect(front.backState == "2")
    front.connect(split: split)
    #expect(front.backState == "4")
    let frame = [UInt8](repeating: 7, count: 60)
    #expect(front.send(front.slots(of: frame)) == [[1, 0]])
    #expect(front.link.sent == [frame])
    // In four pieces.
    let large = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
    #expect(front.send(front.slots(of: large, piece: 1300)) == [[1, 0], [2, 0], [3, 0], [4, 0]])
    #expect(front.link.sent.last == large)
    #expect(front.card.statistics.txPackets == 2 && front.card.statistics.txBytes == 5060)
    #expect(front.guest.openMappings == 2)
    front.write("state", "6")
    #expect(front.guest.openMappings == 0)
  }

  @Test func blankChecksumsAreFilledIn() {
    let front = FrontCard()
    front.connect()
    let payload = (0..<101).map { UInt8($0) }
    let frames = [
      Sample.ipv4(6, Sample.tcp(payload)), Sample.ipv4(17, Sample.udp(payload)), Sample.ipv6(6, Sample.tcp(payload)),
      Sample.ipv6(17, Sample.udp(payload)),
    ]
    for frame in frames {
      #expect(!Sample.isRight(frame))
      front.send(front.slots(of: frame, flags: 3))
      #expect(Sample.isRight(front.link.sent.last!))
      #expect(front.link.sent.last!.count == frame.count)
      // Without the flag the frame goes as it is.
      front.send(front.slots(of: frame))
      #expect(front.link.sent.last! == frame)
    }
    front.link.acceptsUnfinishedChecksums = true
    front.send(front.slots(of: frames[0], flags: 3))
    #expect(front.link.sent.last! == frames[0])
  }

  @Test(arguments: [1, 2] as [UInt8]) func largePacketsAreCut(_ version: UInt8) {
    let front = FrontCard()
    front.connect()
    let payload = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let tcp = Sample.tcp(payload, flags: 0x99)
    let frame = version == 1 ? Sample.ipv4(6, tcp) : Sample.ipv6(6, tcp)
    let answers = front.send(front.slots(of: frame, flags: 3, extra: ExtraInfo.gso(size: 1448, type: version)))
    #expect(answers.map { $0[1] } == [0, 1, 0, 0])
    let start = version == 1 ? 34 : 54
    #expect(front.link.sent.count == 7)
    #expect(front.link.sent.flatMap { $0[(start + 20)...] } == payload)
    var sequence: UInt32 = 0xFFFF_F000
    for (index, segment) in front.link.sent.enumerated() {
      #expect(Sample.isRight(segment))
      let found = (4..<8).reduce(0) { $0 << 8 | UInt32(segment[start + $1]) }
      #expect(found == sequence)
      sequence &+= UInt32(segment.count - start - 20)
      // CWR in the first, FIN and PSH in the last, ACK in all.
      let flags: UInt8 = index == 0 ? 0x90 : index == 6 ? 0x19 : 0x10
      #expect(segment[start + 13] == flags)
      if version == 1 { #expect(Int(segment[18]) << 8 | Int(segment[19]) == 0x1234 + index) }
    }
  }

  @Test func badPacketsAreAnsweredWithErrors() {
    let front = FrontCard()
    front.connect()
    let page = front.guest.grantPage()
    #expect(front.send([front.slot(9999, id: 5, size: 60)]) == [[5, -1]])
    #expect(front.send([front.slot(page.reference, id: 6, size: 13)]) == [[6, -1]])
    // A large packet that is no TCP, and a segment size of 0.
    let udp = Sample.ipv4(17, Sample.udp([1, 2, 3]))
    #expect(front.send(front.slots(of: udp, extra: ExtraInfo.gso(size: 1000, type: 1))) == [[1, -1], [0, 1]])
    let tcp = Sample.ipv4(6, Sample.tcp([1, 2, 3]))
    #expect(front.send(front.slots(of: tcp, extra: ExtraInfo.gso(size: 0, type: 1))) == [[1, -1], [0, 1]])
    #expect(front.link.sent.isEmpty)
    #expect(front.card.statistics.txErrors == 4)
    #expect(front.backState == "4")
    #expect(front.send([front.slot(page.reference, id: 7, size: 60)]) == [[7, 0]])
  }

  @Test func whatNoDriverDoesEndsTheCard() {
    let cases: [(FrontCard) -> [[UInt8]]] = [
      { [$0.slot(1, flags: 4, id: 1, size: 100)] },
      { [$0.slot(1, flags: 8, id: 1, size: 100)] },
      { [$0.slot(1, flags: 8, id: 1, size: 100), [9, 0, 0, 0, 0, 0, 0, 0]] },
      { [$0.slot(1, flags: 4, id: 1, size: 100), $0.slot(1, id: 2, size: 101)] },
      { [$0.slot(1, offset: 4000, id: 1, size: 97)] },
      { front in (0..<30).map { front.slot(1, flags: 4, id: $0, size: 100) } },
    ]
    for (index, make) in cases.enumerated() {
      let front = FrontCard()
      front.connect()
      front.send(make(front))
      #expect(front.backState == "5", "\(index)")
      #expect(front.guest.openMappings == 0)
      #expect(front.guest.logged.count == 1)
      front.link.receive?([UInt8](repeating: 0, count: 60))
    }
  }

  @Test func framesComeIn() {
    let front = FrontCard()
    front.link.receive?([UInt8](repeating: 0, count: 60))
    #expect(front.card.statistics.rxDropped == 1)
    front.connect()
    front.post(8)
    var good = Sample.ipv4(6, Sample.tcp([1, 2, 3]))
    FrameLayout(good)!.fillChecksum(&good)
    #expect(Sample.isRight(good))
    var bad = good
    bad[bad.count - 1] ^= 1
    let other = [UInt8](repeating: 5, count: 42)
    for frame in [good, bad, other] { front.link.receive?(frame) }
    let frames = front.frames()
    #expect(frames.map(\.bytes) == [good, bad, other])
    // The guest need not check what has been checked.
    #expect(frames.map(\.flags) == [1, 0, 0])
    #expect(front.guest.notified.last == 21)
    // One frame over three buffers.
    let large = (0..<9000).map { UInt8(truncatingIfNeeded: $0) }
    front.link.receive?(large)
    #expect(front.frames().map(\.bytes) == [large])
    #expect(front.card.statistics.rxPackets == 4)
    #expect(front.guest.openMappings == 2)
  }

  @Test func framesWaitForBuffersInOrderAndTheRestIsLost() {
    let front = FrontCard { $0.receiveQueueLimit = 5 }
    front.connect()
    front.post(1)
    let frames = (0..<8).map { index in [UInt8](repeating: UInt8(index), count: index == 2 ? 5000 : 60) }
    for frame in frames { front.link.receive?(frame) }
    #expect(front.frames().map(\.bytes) == [frames[0]])
    #expect(front.card.statistics.rxDropped == 2)
    front.post(2)
    #expect(front.frames().map(\.bytes) == [frames[1]])
    // The request event asks for the two buffers that the next frame needs.
    let ring = front.receive[0].pages[0] * 4096
    #expect(front.guest.load32(ring + 4) == 4)
    front.post(10)
    #expect(front.frames().map(\.bytes) == Array(frames[2...5]))
  }

  /// Segments of one connection that come in a row are one packet for a guest that takes such; others stay as they are.
  @Test func segmentsInARowAreJoined() {
    let front = FrontCard()
    front.connect()
    front.post(32)
    func segment(_ payload: [UInt8], at sequence: UInt32, flags: UInt8 = 0x10, good: Bool = true) -> [UInt8] {
      var frame = Sample.ipv4(6, Sample.tcp(payload, flags: flags, sequence: sequence))
      FrameLayout(frame)!.fillChecksum(&frame)
      if !good { frame[frame.count - 1] ^= 0xFF }
      return frame
    }
    let payloads = (0..<5).map { index in (0..<(index == 4 ? 700 : 1400)).map { UInt8(truncatingIfNeeded: $0 &* 3 &+ index) } }
    // The sequence number passes zero on the way.
    let start: UInt32 = 0xFFFF_F800
    var row: [[UInt8]] = []
    for (index, payload) in payloads.enumerated() {
      row.append(segment(payload, at: start &+ UInt32(1400 * index), flags: index == 4 ? 0x18 : 0x10))
    }
    let after = start &+ 6300
    let lone = [
      segment([1, 2, 3], at: after), segment([4, 5, 6], at: after &+ 4), segment([7, 8, 9], at: after &+ 7, good: false),
      segment([1, 1], at: after &+ 10, flags: 0x11), segment([2, 2], at: after &+ 12, flags: 0x11),
    ]
    front.guest.notified = []
    front.card.beginArrivals()
    for frame in row + lone { front.link.receive?(frame) }
    #expect(front.receive[0].take(8).isEmpty)
    front.card.endArrivals()
    #expect(front.guest.notified == [21])
    let responses = front.receive[0].take(8)
    #expect(responses.count == 3 + lone.count)
    // Valid, its checksum the pseudo-header's sum only, more data, extra information; then TCP over IPv4 in segments of 1400 bytes.
    #expect(responses[0].u16(4) == 0b1111)
    #expect(responses[1].u8(0) == ExtraInfo.gso && responses[1].u16(2) == 1400 && responses[1].u8(4) == 1)
    var whole: [UInt8] = []
    for index in [0, 2] { whole += front.guest.bytes(front.buffers[UInt16(index)]!, 0..<Int(responses[index].u16(6))) }
    #expect(Array(whole[54...]) == payloads.flatMap { $0 })
    #expect(whole[16] == UInt8((40 + 6300) >> 8) && whole[17] == UInt8((40 + 6300) & 255))
    #expect(Sample.reference(Array(whole[14..<34])) == 0xFFFF, "the IP header's checksum")
    #expect(Array(whole[38..<42]) == [0xFF, 0xFF, 0xF8, 0] && whole[47] == 0x18)
    let length = UInt16(20 + 6300)
    let pseudo = Sample.reference(Array(whole[26..<34]) + [0, 6, UInt8(length >> 8), UInt8(length & 255)])
    #expect(whole[50] == UInt8(pseudo >> 8) && whole[51] == UInt8(pseudo & 255))
    #expect(responses[3...].map { $0.u16(4) } == [1, 1, 0, 1, 1])
    #expect(front.card.statistics.rxPackets == 10)
    #expect(front.card.statistics.rxBytes == UInt64((row + lone).reduce(0) { $0 + $1.count }))
  }

  /// What is cut for other links goes to this one whole, with its checksum.
  @Test func aLinkMayTakeLargePacketsWhole() {
    let front = FrontCard()
    front.link.acceptsLargeSegments = true
    front.connect()
    front.link.flushes = 0
    let frame = Sample.ipv4(6, Sample.tcp((0..<9000).map { UInt8(truncatingIfNeeded: $0) }))
    front.send(front.slots(of: frame, flags: 1, piece: 3000, extra: ExtraInfo.gso(size: 1448, type: 1)))
    #expect(front.link.sent.count == 1 && front.link.flushes == 1)
    var right = frame
    FrameLayout(frame)!.fillChecksum(&right)
    #expect(front.link.sent == [right])
  }

  @Test(arguments: [0, 1, 2, 3, 4, 7, 1459, 1460]) func sumsAreThoseOfTheSlowWay(_ count: Int) {
    var random = SeededRandom(seed: UInt64(count))
    let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    #expect(InternetChecksum.fold(InternetChecksum.sum(bytes[...])) == Sample.reference(bytes))
    #expect(InternetChecksum.fold(InternetChecksum.sum(bytes[...], 0x1234)) == Sample.reference([0x12, 0x34] + bytes))
  }

  @Test func aBufferThatCannotBeWrittenIsAnError() {
    let front = FrontCard()
    front.connect()
    front.post(1, writable: false)
    front.link.receive?([UInt8](repeating: 1, count: 60))
    let response = front.receive[0].take(8)
    #expect(response.count == 1 && response[0].u16(6) == 0xFFFF)
    #expect(front.card.statistics.rxDropped == 1)
  }

  @Test func severalQueuesKeepAConnectionTogether() {
    let front = FrontCard { $0.maximumQueues = 3 }
    front.connect(queues: 3)
    #expect(front.backState == "4")
    for queue in 0..<3 {
      front.post(20, queue: queue)
      front.send(front.slots(of: [UInt8](repeating: UInt8(queue), count: 60)), queue: queue)
    }
    #expect(front.link.sent.map { $0[0] } == [0, 1, 2])
    var seen: [Int] = []
    for port in 0..<6 {
      var frame = Sample.ipv4(17, Sample.udp([]))
      frame[35] = UInt8(port)
      for _ in 0..<2 { front.link.receive?(frame) }
      let counts = (0..<3).map { front.frames(queue: $0).count }
      #expect(counts.sorted() == [0, 0, 2])
      seen.append(counts.firstIndex(of: 2)!)
    }
    #expect(Set(seen).count == 3)
  }

  @Test func cardsWithoutCopyingAreRefused() {
    let front = FrontCard()
    front.write("state", "4")
    #expect(front.backState == "5")
    #expect(front.store.read("/local/domain/0/error/backend/vif/1/0/error") == "request-rx-copy is not 1")
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>) func aGuestThatLiesIsSurvived(_ seed: UInt64) {
    let guest = HostileGuest(seed: seed)
    var random = SeededRandom(seed: seed)
    for _ in 0..<40 {
      let front = FrontCard(guest: guest) { $0.maximumQueues = 2 }
      front.connect(queues: 2)
      guest.lies = true
      for step in 0..<20 {
        guest.send(UInt32(20 + step % 4))
        front.link.receive?([UInt8](repeating: 1, count: Int.random(in: 0..<70_000, using: &random)))
      }
      guest.lies = false
      front.write("state", "6")
      #expect(guest.openMappings == 0)
      #expect(guest.handlers.isEmpty)
      guest.memory = [UInt8](repeating: 0, count: guest.memory.count)
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func framesOfAnyKindAreTakenApart(_ seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for _ in 0..<4000 {
      var frame = [
        Sample.ipv4(6, Sample.tcp([1, 2, 3])), Sample.ipv6(6, Sample.tcp([1, 2])), Sample.ipv6(0, Sample.udp([1])),
        Sample.ipv4(17, Sample.udp([])),
      ].randomElement(using: &random)!
      for _ in 0..<Int.random(in: 0..<6, using: &random) {
        frame[Int.random(in: 12..<frame.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      frame.removeLast(Int.random(in: 0..<frame.count, using: &random) / 3)
      if let layout = FrameLayout(frame) {
        layout.fillChecksum(&frame)
        if FrameLayout(frame) == layout { #expect(layout.hasGoodChecksum(frame)) }
      }
      if let segments = Segmentation.segments(frame, size: 1) { #expect(!segments.isEmpty) }
    }
  }
}
