//! Who may do what.

use tonic::Code;

use crate::office::{Office, reason};

#[tokio::test]
async fn who_may_read_the_budgets_may_not_allocate() {
    let office = Office::open().await;
    let budget_id = office.desk.clone().books_with("100.00").await;

    let mut technician = office.desk_of("technician", &["budgeting.budgets.read"]);
    assert_eq!(technician.read_budget(&budget_id).await.id, budget_id);
    let refused = technician.allocate(&budget_id, "1.00").await;
    assert_eq!(refused.as_ref().unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(reason(refused), "PERMISSION_DENIED");
    assert_eq!(
        reason(technician.encumber(&budget_id, "1.00").await),
        "PERMISSION_DENIED"
    );
}
