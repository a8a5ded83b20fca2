/// The errors that a store operation answers with; the raw value is the name that goes over the wire (io/xs_wire.h, xsd_errors).
public enum StoreError: String, Error, Sendable, CaseIterable {
  case invalid = "EINVAL"
  case access = "EACCES"
  case exists = "EEXIST"
  case isDirectory = "EISDIR"
  case noEntry = "ENOENT"
  case noMemory = "ENOMEM"
  case noSpace = "ENOSPC"
  case io = "EIO"
  case notEmpty = "ENOTEMPTY"
  case notImplemented = "ENOSYS"
  case readOnly = "EROFS"
  case busy = "EBUSY"
  case again = "EAGAIN"
  case isConnected = "EISCONN"
  case tooBig = "E2BIG"
  case notPermitted = "EPERM"
}
