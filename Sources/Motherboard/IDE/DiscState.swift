/// What a CD-ROM drive keeps beside its command block.
struct DiscState: Codable, Equatable {
  /// SCSI sense key, additional code and its qualifier: of the last command that failed.
  var sense = Sense.none
  var isTrayOpen = false
  /// PREVENT ALLOW MEDIUM REMOVAL.
  var isLocked = false
  /// The disc was changed and no command has been told (UNIT ATTENTION).
  var attention: Sense?
  /// GET EVENT STATUS NOTIFICATION has something to say: 2 new media, 3 removal, 1 eject request.
  var event: UInt8 = 0
  /// The command's data phase is by DMA.
  var usesDMA = false

  struct Sense: Codable, Equatable {
    var key: UInt8
    var code: UInt8
    var qualifier: UInt8 = 0

    static let none = Sense(key: 0, code: 0)
    static let notPresent = Sense(key: 2, code: 0x3A)
    static let trayOpen = Sense(key: 2, code: 0x3A, qualifier: 2)
    static let readError = Sense(key: 3, code: 0x11)
    static let invalidCommand = Sense(key: 5, code: 0x20)
    static let outOfRange = Sense(key: 5, code: 0x21)
    static let invalidField = Sense(key: 5, code: 0x24)
    static let locked = Sense(key: 5, code: 0x53, qualifier: 2)
    static let changed = Sense(key: 6, code: 0x28)
  }
}
