-- A charge for damage, or for parts that are missing.
alter table fee_fine_type
    drop constraint fee_fine_type_kind_is_known,
    add constraint fee_fine_type_kind_is_known check (kind in (
        'overdue_fine', 'lost_item_fee', 'lost_item_processing_fee', 'damaged_item_fee', 'manual'));
