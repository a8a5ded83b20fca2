/// How a virtual network card looks to the guest.
public struct NetworkConfiguration: Sendable {
  /// In `--stats`: `eth0`.
  public var name: String
  /// The device's number: `vif/0`.
  public var handle: UInt32
  public var mac: [UInt8]
  public var mtu = 1500
  public var maximumQueues = 1
  public var splitEventChannels = true
  /// TCP packets of up to 64 KiB from the guest, cut up here.
  public var offersSegmentation = true
  /// Frames that may wait for the guest's buffers; later ones are lost.
  public var receiveQueueLimit = 1024

  /// - Parameter mac: 6 bytes.
  public init(name: String, handle: UInt32, mac: [UInt8]) {
    self.name = name
    self.handle = handle
    self.mac = mac
  }

  /// `00:16:3e:01:02:03`.
  public var macText: String {
    mac.map { byte in
      let text = String(byte, radix: 16)
      return text.count == 1 ? "0" + text : text
    }.joined(separator: ":")
  }
}
